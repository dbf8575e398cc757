//! The envelope's rules, the same for writer and reader, and its bytes.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail by panicking")]

use proptest::prelude::*;
use prost::Message as _;
use tributary_proto::{
    envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, MAX_LEDGERS, MAX_MESSAGE_BYTES, StreamId, decode_legacy},
    v1,
};

fn envelope() -> Envelope {
    Envelope {
        stream_id: StreamId([0xab; 16]),
        ledgers: 1,
        sequence: 3,
        window_start_ms: 1_000,
        window_end_ms: 2_000,
        resolver_id: "cf-resolver".into(),
        dimensions: [("colo".to_owned(), "AMS".to_owned())].into(),
        flag_logs: vec![],
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![v1::Dropped { reason: v1::dropped::Reason::BufferFull.into(), assignments: 4, recordings: 0 }],
    }
}

/// The wire, byte by byte: a change here is a change that deployed producers and consumers will notice.
#[test]
fn bytes_are_as_written_down() {
    let expected = [
        "0801",                                 // 1 format: 1
        "1210abababababababababababababababab", // 2 stream_id: 16 bytes
        "1803",                                 // 3 sequence: 3
        "20e807",                               // 4 window_start_ms: 1000
        "28d00f",                               // 5 window_end_ms: 2000
        "321a",                                 // 6 producer, 26 bytes
        "0a0b63662d7265736f6c766572",           //   1 resolver_id: "cf-resolver"
        "120b0a04636f6c6f1203414d53",           //   2 dimensions: "colo" = "AMS"
        "420408011004",                         // 8 dropped: reason 1, 4 assignments
    ]
    .concat();
    let hex: String = envelope().encode().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn bytes_with_metrics_are_as_written_down() {
    let with_metrics = Envelope { metrics: vec![0x0a, 0x00], dropped: vec![], ..envelope() };
    let hex: String = with_metrics.encode().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.starts_with("0802"), "format 2");
    assert!(hex.ends_with("52020a00"), "10 metrics: 2 bytes");
    assert_eq!(Envelope::decode(&with_metrics.encode().unwrap()), Ok(with_metrics));
}

/// Alone in the order of their numbers, where our own writers put them, and not: the readers of both agree.
#[test]
fn bytes_with_metrics_of_opentelemetry_are_as_written_down() {
    let with_otlp = Envelope { resource_metrics: vec![0x12, 0x00], metrics: vec![0x0a, 0x00], ..envelope() };
    let bytes = with_otlp.encode().unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.starts_with("0804"), "format 4");
    assert!(hex.ends_with("4a02120052020a00"), "9 resource_metrics and 10 metrics: 2 bytes each");
    assert_eq!(Envelope::decode(&bytes), Ok(with_otlp.clone()));
    let mut with_unknown = bytes;
    with_unknown.extend([0xfa, 0x07, 0x02, 0x68, 0x69]); // field 127, bytes "hi"
    assert_eq!(Envelope::decode(&with_unknown), Ok(with_otlp.clone()), "decoded whole");
    let (read, _) = Envelope::read(&with_unknown).unwrap();
    assert_eq!(read, with_otlp);
}

/// An older reader refuses what it would pass over, and takes everything else.
#[test]
fn the_format_is_raised_by_what_an_older_reader_would_pass_over_and_by_nothing_else() {
    let recordings = v1::Dropped { reason: v1::dropped::Reason::Invalid.into(), assignments: 0, recordings: 1 };
    let metrics = vec![0x0a, 0x00];
    for (needed, spoiled) in [
        (1, envelope()),
        (2, Envelope { metrics: metrics.clone(), ..envelope() }),
        (2, Envelope { dropped: vec![recordings], ..envelope() }),
        (4, Envelope { resource_metrics: vec![0x12, 0x00], ..envelope() }),
        (4, Envelope { resource_metrics: vec![0x12, 0x00], metrics, ..envelope() }),
    ] {
        let bytes = spoiled.encode().unwrap();
        let mut wire = v1::Envelope::decode(bytes.as_slice()).unwrap();
        assert_eq!(wire.format, needed);
        for format in 1..needed {
            wire.format = format;
            let lowered = Envelope::decode(&wire.encode_to_vec());
            assert_eq!(lowered, Err(EnvelopeError::FormatTooLow { format, needed }));
        }
    }
    assert_eq!(EnvelopeError::FormatTooLow { format: 1, needed: 2 }.reason(), "format");
    // A format that is higher than it had to be is taken.
    let mut wire = v1::Envelope::decode(envelope().encode().unwrap().as_slice()).unwrap();
    wire.format = 2;
    assert_eq!(Envelope::decode(&wire.encode_to_vec()), Ok(envelope()));
}

#[test]
fn metrics_that_are_no_set_are_an_error_of_their_own() {
    let spoiled = Envelope { metrics: vec![0xff; 9], ..envelope() };
    let read = Envelope::decode(&spoiled.encode().unwrap()).unwrap();
    assert_eq!(read.metrics().unwrap_err().reason(), "metrics");
    assert_eq!(envelope().metrics(), Ok(v1::MetricSet::default()));
}

#[test]
fn decode_gives_back_what_was_encoded() {
    assert_eq!(Envelope::decode(&envelope().encode().unwrap()), Ok(envelope()));
}

#[test]
fn writer_and_reader_refuse_the_same() {
    type Spoil = fn(&mut Envelope);
    let broken: [(Spoil, &str); 4] = [
        (|e| e.sequence = 0, "invalid"),
        (|e| e.window_end_ms = 1, "invalid"),
        (|e| e.resolver_id = String::new(), "invalid"),
        (|e| e.resolver_id = "x".repeat(129), "invalid"),
    ];
    for (spoil, reason) in broken {
        let mut envelope = envelope();
        spoil(&mut envelope);
        assert_eq!(envelope.encode().unwrap_err().reason(), reason);
        let wire = v1::Envelope {
            format: 1,
            stream_id: envelope.stream_id.0.to_vec(),
            sequence: envelope.sequence,
            window_start_ms: envelope.window_start_ms,
            window_end_ms: envelope.window_end_ms,
            producer: Some(v1::Producer { resolver_id: envelope.resolver_id, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(Envelope::decode(&wire.encode_to_vec()).unwrap_err().reason(), reason);
    }
}

#[test]
fn bytes_with_ledgers_are_as_written_down_and_one_ledger_is_not_written() {
    let with_ledgers = Envelope { ledgers: 3, ..envelope() };
    let bytes = with_ledgers.encode().unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.starts_with("0805"), "format 5");
    assert!(hex.ends_with("6003"), "12 ledgers: 3");
    assert_eq!(Envelope::decode(&bytes), Ok(with_ledgers.clone()));
    let mut wire = v1::Envelope::decode(bytes.as_slice()).unwrap();
    for format in 1..5 {
        wire.format = format;
        let lowered = Envelope::decode(&wire.encode_to_vec());
        assert_eq!(lowered, Err(EnvelopeError::FormatTooLow { format, needed: 5 }));
    }
    // Explicitly one is one.
    wire.ledgers = 1;
    assert_eq!(Envelope::decode(&wire.encode_to_vec()), Ok(envelope()));
    for ledgers in [0, MAX_LEDGERS + 1, u32::MAX] {
        let refused = Err(EnvelopeError::Ledgers(ledgers));
        assert_eq!(Envelope { ledgers, ..envelope() }.encode(), refused.clone());
        if ledgers > 0 {
            let wire = v1::Envelope { ledgers, format: 5, ..wire.clone() };
            assert_eq!(Envelope::decode(&wire.encode_to_vec()).map(|envelope| envelope.encode().unwrap()), refused);
        }
    }
    assert_eq!(EnvelopeError::Ledgers(17).reason(), "invalid");
    assert!(Envelope { ledgers: MAX_LEDGERS, ..envelope() }.encode().is_ok());
}

/// What is remembered of a stream is in the ledger with this number: it must never be another one.
#[test]
fn the_share_of_a_stream_is_as_written_down() {
    let of = |head: u64, count| {
        let mut id = [0xee; 16];
        id[..8].copy_from_slice(&head.to_be_bytes());
        StreamId(id).share(count)
    };
    assert_eq!((of(0, 3), of(1, 3), of(5, 3), of(u64::MAX, 3), of(u64::MAX, 16)), (0, 1, 2, 0, 15));
    assert_eq!((of(7, 1), of(7, 0)), (0, 0));
    assert_eq!(Envelope { ledgers: 3, ..envelope() }.ledger(), StreamId([0xab; 16]).share(3));
}

proptest! {
    #[test]
    fn every_share_gets_its_part(seed in any::<u64>(), count in 1..=MAX_LEDGERS) {
        // Ids as a generator of random bytes gives them.
        let mut state = seed;
        let mut streams = vec![0_u32; usize::try_from(count).unwrap()];
        for _ in 0..count * 400 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let id = u128::from(mixed ^ (mixed >> 31)) << 64;
            streams[usize::try_from(StreamId(id.to_be_bytes()).share(count)).unwrap()] += 1;
        }
        prop_assert!(streams.iter().all(|streams| (250..=560).contains(streams)), "{streams:?}");
    }
}

#[test]
fn a_newer_format_is_refused_and_said() {
    let wire = v1::Envelope { format: 99, ..Default::default() };
    assert_eq!(Envelope::decode(&wire.encode_to_vec()), Err(EnvelopeError::Format(99)));
    assert_eq!(Envelope::decode(b""), Err(EnvelopeError::Format(0)), "an empty message is no envelope");
}

#[test]
fn a_field_of_a_newer_producer_is_ignored() {
    let mut bytes = envelope().encode().unwrap();
    bytes.extend([0xfa, 0x07, 0x02, 0x68, 0x69]); // field 127, bytes "hi"
    assert_eq!(Envelope::decode(&bytes), Ok(envelope()));
}

#[test]
fn an_oversize_envelope_is_not_written_and_an_oversize_message_not_read() {
    let mut large = envelope();
    large.flag_logs = vec![0; MAX_ENVELOPE_BYTES];
    assert_eq!(large.encode().unwrap_err().reason(), "oversize");
    assert_eq!(Envelope::decode(&vec![0; MAX_MESSAGE_BYTES + 1]).unwrap_err().reason(), "oversize");
    assert_eq!(decode_legacy(&" ".repeat(MAX_MESSAGE_BYTES + 1)).unwrap_err().reason(), "oversize");
}

#[test]
fn text_that_is_no_flag_log_is_an_error_that_names_the_place() {
    let error = decode_legacy(r#"{"telemetryData":{"memoryBytes":[]}}"#).unwrap_err();
    assert_eq!(error.reason(), "flag_logs");
    assert!(error.to_string().contains("column"), "{error}");
    let error = decode_legacy(r#"{"telemetryData":{"sdk":{"version":7,"customId":["somebody's name"]}}}"#).unwrap_err();
    assert!(!error.to_string().contains("somebody"), "{error}");
    let deep = "[".repeat(100_000);
    assert_eq!(decode_legacy(&deep).unwrap_err().reason(), "flag_logs");
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(envelope) = Envelope::decode(&bytes) {
            prop_assert_eq!(Envelope::decode(&envelope.encode().unwrap()), Ok(envelope));
        }
    }

    #[test]
    fn a_truncated_envelope_is_never_a_different_record(cut in 0usize..70) {
        let bytes = envelope().encode().unwrap();
        let cut = cut.min(bytes.len());
        if let Ok(partial) = Envelope::decode(&bytes[..cut]) {
            prop_assert_eq!((partial.stream_id, partial.sequence), (envelope().stream_id, 3));
        }
    }

    #[test]
    fn any_text_decodes_or_is_refused_without_panic(text in ".{0,200}") {
        let _unused = decode_legacy(&text).is_ok();
    }
}
