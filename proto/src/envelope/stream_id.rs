//! Which stream a record belongs to.

use super::EnvelopeError;

/// The run of deltas of one isolate: 16 random bytes, drawn once per isolate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// The share of the stream among `count` ledgers, or queues: 0 to `count` - 1, and 0 where there are none. The same
    /// for ever: what is remembered of a stream is in the ledger with this number.
    ///
    /// An id is random bytes, so this is a hash as it stands. The bias of the modulo is below 2^-60.
    #[must_use]
    pub fn share(&self, count: u32) -> u32 {
        let head = u64::from_be_bytes(self.0.first_chunk().copied().unwrap_or_default());
        head.checked_rem(count.into()).and_then(|share| u32::try_from(share).ok()).unwrap_or(0)
    }
}

impl StreamId {
    /// Reads a stream id from bytes that came from outside.
    ///
    /// # Errors
    /// [`EnvelopeError::StreamId`] unless there are exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        bytes.try_into().map(Self).map_err(|_| EnvelopeError::StreamId { bytes: bytes.len() })
    }
}

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}
