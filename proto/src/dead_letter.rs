//! The codec of a dead letter: a queue message that was given up, whole, with the reason.
//!
//! Writer and reader hold the same rules, as those of the envelope do. The writer shortens what is only for people
//! ([`DeadLetter::detail`]) and refuses the rest.

use prost::Message as _;

use crate::v1::{self, dead_letter::Body};

/// The format that this crate writes, and the highest that it reads.
pub const FORMAT: u32 = 1;

/// The most bytes of a letter that goes over a queue: Queues takes 128,000 bytes with about 100 bytes of metadata
/// (Cloudflare docs, Queues › Platform › Limits).
pub const MAX_SENT_BYTES: usize = 127_000;

/// The most bytes of a letter at all: it is stored as one value of SQLite in a Durable Object, of at most 2 MB
/// (Cloudflare docs, Durable Objects › Platform › Limits).
pub const MAX_LETTER_BYTES: usize = 1_900_000;

/// The most bytes of a reason.
pub const MAX_REASON_BYTES: usize = 40;

/// The most bytes of a detail; a longer one is cut.
pub const MAX_DETAIL_BYTES: usize = 500;

/// The most bytes of a message id. Queues' own have 32.
pub const MAX_MESSAGE_ID_BYTES: usize = 128;

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, in one word of `[a-z0-9_]`: a label value.
    pub reason: String,
    /// Why, for a person; at most [`MAX_DETAIL_BYTES`], without secrets and without content of the message.
    pub detail: String,
    /// The queue's id of the original message; not empty, at most [`MAX_MESSAGE_ID_BYTES`].
    pub message_id: String,
    /// How often the original message was delivered.
    pub attempts: u32,
    /// When the original message was sent, in milliseconds since the epoch.
    pub sent_ms: u64,
    /// When it was given up, in milliseconds since the epoch.
    pub dead_ms: u64,
    /// The original content. `None`: it was neither bytes nor text nor JSON, and cannot be put back.
    pub body: Option<Body>,
}

/// Why bytes are no dead letter, or a dead letter has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// Over the size of a letter.
    #[error("{bytes} bytes, the most is {MAX_LETTER_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not protobuf.
    #[error("not a dead letter: {0}")]
    Protobuf(String),
    /// From a newer consumer, or not a dead letter.
    #[error("format {0}, this reader knows {FORMAT}")]
    Format(u32),
    /// A reason that is no word of at most [`MAX_REASON_BYTES`].
    #[error("a reason that is no word")]
    Reason,
    /// A detail of more than [`MAX_DETAIL_BYTES`].
    #[error("a detail of {bytes} bytes")]
    Detail {
        /// Its length.
        bytes: usize,
    },
    /// A message id that is empty or longer than [`MAX_MESSAGE_ID_BYTES`].
    #[error("a message id of {bytes} bytes")]
    MessageId {
        /// Its length.
        bytes: usize,
    },
}

impl DeadLetter {
    /// Encodes the letter. A detail that is too long is cut at the end of a character.
    ///
    /// # Errors
    /// Whatever [`DeadLetter::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, DeadLetterError> {
        let detail = cut(&self.detail, MAX_DETAIL_BYTES);
        check(&self.reason, detail, &self.message_id)?;
        let message = v1::DeadLetter {
            format: FORMAT,
            reason: self.reason.clone(),
            detail: detail.to_owned(),
            message_id: self.message_id.clone(),
            attempts: self.attempts,
            sent_ms: self.sent_ms,
            dead_ms: self.dead_ms,
            body: self.body.clone(),
        };
        within(message.encoded_len())?;
        Ok(message.encode_to_vec())
    }

    /// Decodes a letter.
    ///
    /// # Errors
    /// [`DeadLetterError`], one variant per rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, DeadLetterError> {
        within(bytes.len())?;
        let message = v1::DeadLetter::decode(bytes).map_err(|error| DeadLetterError::Protobuf(error.to_string()))?;
        if message.format != FORMAT {
            return Err(DeadLetterError::Format(message.format));
        }
        check(&message.reason, &message.detail, &message.message_id)?;
        Ok(Self {
            reason: message.reason,
            detail: message.detail,
            message_id: message.message_id,
            attempts: message.attempts,
            sent_ms: message.sent_ms,
            dead_ms: message.dead_ms,
            body: message.body,
        })
    }

    /// Bytes of the original content; 0 where there is none.
    pub fn body_bytes(&self) -> usize {
        match &self.body {
            Some(Body::Bytes(bytes)) => bytes.len(),
            Some(Body::Text(text) | Body::Json(text)) => text.len(),
            None => 0,
        }
    }
}

fn check(reason: &str, detail: &str, message_id: &str) -> Result<(), DeadLetterError> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES || !reason.bytes().all(is_word) {
        return Err(DeadLetterError::Reason);
    }
    if detail.len() > MAX_DETAIL_BYTES {
        return Err(DeadLetterError::Detail { bytes: detail.len() });
    }
    if message_id.is_empty() || message_id.len() > MAX_MESSAGE_ID_BYTES {
        return Err(DeadLetterError::MessageId { bytes: message_id.len() });
    }
    Ok(())
}

/// The longest beginning of at most `most` bytes that ends with a character.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn within(bytes: usize) -> Result<(), DeadLetterError> {
    if bytes > MAX_LETTER_BYTES { Err(DeadLetterError::TooLarge { bytes }) } else { Ok(()) }
}
