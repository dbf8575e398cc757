//! The dead letter's rules, the same for writer and reader, its bytes, and that it is never taken for an envelope.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail by panicking")]

use proptest::prelude::*;
use prost::Message as _;
use tributary_proto::{
    dead_letter::{DeadLetter, DeadLetterError, MAX_LETTER_BYTES, MAX_SENT_BYTES},
    envelope::{Envelope, StreamId},
    v1::{self, dead_letter::Body},
};

fn letter(body: Option<Body>) -> DeadLetter {
    DeadLetter {
        reason: "backend_400".into(),
        detail: "no".into(),
        message_id: "id-1".into(),
        attempts: 3,
        sent_ms: 1_000,
        dead_ms: 2_000,
        body,
    }
}

/// The wire, byte by byte: letters lie in queues and tables across deploys.
#[test]
fn bytes_are_as_written_down() {
    let expected = [
        "0801",                       // 1 format: 1
        "120b6261636b656e645f343030", // 2 reason: "backend_400"
        "1a026e6f",                   // 3 detail: "no"
        "220469642d31",               // 4 message_id: "id-1"
        "2803",                       // 5 attempts: 3
        "30e807",                     // 6 sent_ms: 1000
        "38d00f",                     // 7 dead_ms: 2000
        "4a026869",                   // 9 text: "hi"
    ]
    .concat();
    let bytes = letter(Some(Body::Text("hi".into()))).encode().unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn every_kind_of_content_comes_back_as_it_was() {
    for body in [
        None,
        Some(Body::Bytes(vec![0, 0xff, 7])),
        Some(Body::Bytes(vec![])),
        Some(Body::Text("é\u{0}".into())),
        Some(Body::Json("{\"a\":1}".into())),
    ] {
        let letter = letter(body);
        assert_eq!(DeadLetter::decode(&letter.encode().unwrap()), Ok(letter));
    }
}

#[test]
fn writer_and_reader_refuse_the_same() {
    type Spoil = fn(&mut DeadLetter);
    let broken: [(Spoil, DeadLetterError); 6] = [
        (|l| l.reason = String::new(), DeadLetterError::Reason),
        (|l| l.reason = "No".into(), DeadLetterError::Reason),
        (|l| l.reason = "a\"b".into(), DeadLetterError::Reason),
        (|l| l.reason = "x".repeat(41), DeadLetterError::Reason),
        (|l| l.message_id = String::new(), DeadLetterError::MessageId { bytes: 0 }),
        (|l| l.message_id = "x".repeat(129), DeadLetterError::MessageId { bytes: 129 }),
    ];
    for (spoil, error) in broken {
        let mut letter = letter(None);
        spoil(&mut letter);
        assert_eq!(letter.encode(), Err(error.clone()));
        let wire =
            v1::DeadLetter { format: 1, reason: letter.reason, message_id: letter.message_id, ..Default::default() };
        assert_eq!(DeadLetter::decode(&wire.encode_to_vec()), Err(error));
    }
    assert_eq!(DeadLetter::decode(b""), Err(DeadLetterError::Format(0)));
    let newer = v1::DeadLetter { format: 2, ..Default::default() };
    assert_eq!(DeadLetter::decode(&newer.encode_to_vec()), Err(DeadLetterError::Format(2)));
}

#[test]
fn a_long_detail_is_cut_between_characters() {
    let long = DeadLetter { detail: "é".repeat(400), ..letter(None) };
    let read = DeadLetter::decode(&long.encode().unwrap()).unwrap();
    assert_eq!(read.detail, "é".repeat(250));
    let odd = DeadLetter { detail: format!("x{}", "é".repeat(400)), ..letter(None) };
    assert_eq!(DeadLetter::decode(&odd.encode().unwrap()).unwrap().detail.len(), 499);
}

#[test]
fn the_size_of_a_letter_is_bounded_and_little_more_than_that_of_its_message() {
    let large = letter(Some(Body::Bytes(vec![7; MAX_LETTER_BYTES])));
    assert!(matches!(large.encode(), Err(DeadLetterError::TooLarge { .. })));
    assert!(matches!(DeadLetter::decode(&vec![0; MAX_LETTER_BYTES + 1]), Err(DeadLetterError::TooLarge { .. })));
    // An envelope of the largest size and the largest words around it still fit a queue.
    let largest = DeadLetter {
        reason: "r".repeat(40),
        detail: "d".repeat(500),
        message_id: "i".repeat(128),
        attempts: u32::MAX,
        sent_ms: u64::MAX,
        dead_ms: u64::MAX,
        body: Some(Body::Bytes(vec![7; tributary_proto::envelope::MAX_ENVELOPE_BYTES])),
    };
    assert!(largest.encode().unwrap().len() <= MAX_SENT_BYTES);
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    (any::<[u8; 16]>(), 1u64.., any::<u64>(), any::<u64>(), "[a-z]{1,20}", bytes).prop_map(
        |(stream_id, sequence, one, other, resolver_id, flag_logs)| Envelope {
            stream_id: StreamId(stream_id),
            ledgers: 1,
            sequence,
            window_start_ms: one.min(other),
            window_end_ms: one.max(other),
            resolver_id,
            dimensions: Default::default(),
            flag_logs,
            metrics: Vec::new(),
            resource_metrics: Vec::new(),
            dropped: vec![],
        },
    )
}

fn any_letter() -> impl Strategy<Value = DeadLetter> {
    let body = prop_oneof![
        Just(None),
        proptest::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| Some(Body::Bytes(bytes))),
        ".{0,40}".prop_map(|text| Some(Body::Text(text))),
        ".{0,40}".prop_map(|text| Some(Body::Json(text))),
    ];
    ("[a-z0-9_]{1,40}", ".{0,100}", ".{1,30}", any::<u32>(), any::<u64>(), any::<u64>(), body).prop_map(
        |(reason, detail, message_id, attempts, sent_ms, dead_ms, body)| DeadLetter {
            reason,
            detail,
            message_id,
            attempts,
            sent_ms,
            dead_ms,
            body,
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(letter) = DeadLetter::decode(&bytes) {
            prop_assert_eq!(DeadLetter::decode(&letter.encode().unwrap()), Ok(letter));
        }
    }

    #[test]
    fn what_is_written_is_read(letter in any_letter()) {
        prop_assert_eq!(DeadLetter::decode(&letter.encode().unwrap()), Ok(letter));
    }

    #[test]
    fn an_envelope_is_never_a_dead_letter(envelope in any_envelope()) {
        prop_assert!(DeadLetter::decode(&envelope.encode().unwrap()).is_err());
    }

    #[test]
    fn a_dead_letter_is_never_an_envelope(letter in any_letter()) {
        prop_assert!(Envelope::decode(&letter.encode().unwrap()).is_err());
    }
}
