//! A queue message of today's Confidence Cloudflare resolver: JSON.

use tributary_consumer::message::{MessageBody, QueueMessage, decode};
use tributary_proto::{Message as _, envelope::decode_legacy};

use super::{NOW_MS, consume};
use crate::memory::bounded;

/// The most that decoding may allocate, in multiples of the text: `{},` makes an empty `AppliedFlag` of some 300 bytes,
/// in a list that grows by doubling.
const FACTOR: usize = 512;

/// Any text decodes or is refused, in memory linear in the text; what decodes can be written as JSON and means the same
/// when it is read again; what follows takes it.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(logs) = bounded(text.len(), FACTOR, || decode_legacy(text)) else { return };
    if let Ok(json) = serde_json::to_string(&logs) {
        // JSON may be longer than the text was (numbers written out), and past the size of a message.
        if let Ok(read) = serde_json::from_str::<tributary_proto::flag_logs::WriteFlagLogsRequest>(&json) {
            assert_eq!(read.encode_to_vec(), logs.encode_to_vec(), "JSON reads back as it was: {json}");
        } else {
            panic!("written JSON is refused: {json}");
        }
    }
    let message =
        QueueMessage { id: "one".to_owned(), sent_ms: NOW_MS, attempts: 1, body: MessageBody::Text(text.to_owned()) };
    let decoded = decode(&message, "cf-resolver").expect("decoded before");
    assert_eq!(decoded.record.sequence, 1);
    consume(decoded);
}
