//! What can be wrong with a message.

use super::{FORMAT, FORMAT_LEDGERS, MAX_LEDGERS};

/// Why bytes are no envelope, or an envelope has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Over the size of a message.
    #[error("{bytes} bytes, the most is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not protobuf.
    #[error("not an envelope: {0}")]
    Protobuf(String),
    /// From a newer producer, or not an envelope.
    #[error("format {0}, this reader knows {FORMAT} to {FORMAT_LEDGERS}")]
    Format(u32),
    /// It holds what older readers would pass over, and is of their format.
    #[error("a message of format {format} with what takes {needed}")]
    FormatTooLow {
        /// The format that it says.
        format: u32,
        /// The lowest that it takes.
        needed: u32,
    },
    /// A stream id that is not 16 bytes.
    #[error("a stream id of {bytes} bytes instead of 16")]
    StreamId {
        /// Its length.
        bytes: usize,
    },
    /// No installation has so many ledgers.
    #[error("{0} ledgers, 1 to {MAX_LEDGERS} are taken")]
    Ledgers(u32),
    /// Sequences start at 1.
    #[error("sequence 0")]
    Sequence,
    /// A window that ends before it starts.
    #[error("a window from {start_ms} to {end_ms}")]
    Window {
        /// Its start.
        start_ms: u64,
        /// Its end.
        end_ms: u64,
    },
    /// A `resolver_id` that is empty or too long.
    #[error("a resolver_id of {bytes} bytes")]
    ResolverId {
        /// Its length.
        bytes: usize,
    },
    /// The flag logs inside are no `WriteFlagLogsRequest`.
    #[error("flag logs: {0}")]
    FlagLogs(String),
    /// The metrics inside are no `MetricSet`.
    #[error("metrics: {0}")]
    Metrics(String),
}

impl EnvelopeError {
    /// The reason in one word, for a label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "oversize",
            Self::Protobuf(_) => "protobuf",
            Self::Format(_) | Self::FormatTooLow { .. } => "format",
            Self::StreamId { .. }
            | Self::Ledgers(_)
            | Self::Sequence
            | Self::Window { .. }
            | Self::ResolverId { .. } => "invalid",
            Self::FlagLogs(_) => "flag_logs",
            Self::Metrics(_) => "metrics",
        }
    }
}
