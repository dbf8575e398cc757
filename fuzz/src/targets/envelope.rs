//! A queue message of bytes.

use tributary_consumer::message::{MessageBody, QueueMessage, decode};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES},
    flag_logs::WriteFlagLogsRequest,
};

use super::{NOW_MS, consume};
use crate::memory::bounded;

/// The most that decoding may allocate, in multiples of the message: two bytes on the wire make an empty `AppliedFlag`
/// of some 300 bytes, in a list that grows by doubling.
const FLAG_LOGS_FACTOR: usize = 640;

/// Any bytes decode or are refused; what decodes is written and read back as the same record, in memory linear in the
/// message; what follows (metrics, text, merged flag logs) takes it.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    // The size limit is checked on either side of it by the tests of `proto`.
    let Ok(envelope) = bounded(data.len(), 64, || Envelope::decode(data)) else { return };
    match envelope.encode() {
        Ok(bytes) => {
            assert_eq!(Envelope::decode(&bytes), Ok(envelope.clone()), "a record reads back as it was");
            assert_eq!(envelope.encode(), Ok(bytes), "and is written as it was");
        }
        // A message may be larger than an envelope that we write.
        Err(EnvelopeError::TooLarge { bytes, limit }) => assert!(bytes > limit && limit == MAX_ENVELOPE_BYTES),
        Err(other) => panic!("decoded, but refused by the writer: {other}"),
    }
    if let Ok(logs) = bounded(envelope.flag_logs.len(), FLAG_LOGS_FACTOR, || envelope.flag_logs()) {
        let bytes = logs.encode_to_vec();
        let read = WriteFlagLogsRequest::decode(bytes.as_slice()).expect("written flag logs decode");
        // Compared as bytes: a ratio may be NaN.
        assert_eq!(read.encode_to_vec(), bytes);
    }
    let read = bounded(data.len(), FLAG_LOGS_FACTOR, || Envelope::read(data));
    match (read.map(|(_, logs)| logs.to_request()), envelope.flag_logs()) {
        (Ok(Err(_)), Err(_)) => {}
        (Ok(Ok(logs)), Ok(expected)) => {
            assert_eq!(logs.encode_to_vec(), expected.encode_to_vec(), "read in place and decoded are the same");
        }
        (Err(_), Err(_)) => {}
        // The generated code does not look at the wire type of a map's entry.
        (Err(_), Ok(logs)) if !logs.client_resolve_info.is_empty() => {}
        (read, decoded) => panic!("read in place and decoded differ: {read:?} {decoded:?}"),
    }
    let message = |id: &str, attempts| {
        let body = MessageBody::Bytes(data.to_vec());
        QueueMessage { id: id.to_owned(), sent_ms: NOW_MS, attempts, body }
    };
    if let Ok(decoded) = decode(&message("one", 1), "default") {
        let again = decode(&message("two", 9), "default").expect("decoded before");
        assert_eq!(decoded.record, again.record, "a redelivery is the same record");
        assert_eq!((decoded.record.stream_id, decoded.record.sequence), (envelope.stream_id, envelope.sequence));
        consume(decoded);
    }
}
