//! What the environment configures.

use crate::limits::{DEFAULT_FLUSH_INTERVAL_MS, MAX_FLUSH_INTERVAL_MS};

/// Binding of the queue that carries deltas, where nothing else is said.
pub const QUEUE_BINDING: &str = "DELTAS";

/// Name of the variable with the coalescing window.
pub const FLUSH_INTERVAL_MS: &str = "FLUSH_INTERVAL_MS";

/// The configuration of an emitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `FLUSH_INTERVAL_MS`: time for which deltas coalesce, 0 to 20,000; 0 sends at once. Default 1,000.
    pub flush_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { flush_interval_ms: DEFAULT_FLUSH_INTERVAL_MS }
    }
}

/// A value of the environment that could not be used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not a number.
    #[error(
        "{FLUSH_INTERVAL_MS} is not a whole number of milliseconds; the default {DEFAULT_FLUSH_INTERVAL_MS} is in effect"
    )]
    FlushInterval,
    /// A number that was moved into its range.
    #[error("{FLUSH_INTERVAL_MS} is over {MAX_FLUSH_INTERVAL_MS}, which is in effect")]
    FlushIntervalTooLong,
}

impl Config {
    /// Parses the environment. An absent and an empty variable are the same; one that does not parse is a [`Problem`] to
    /// log, and the default in effect.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> (Self, Option<Problem>) {
        let text = lookup(FLUSH_INTERVAL_MS).unwrap_or_default();
        match text.trim() {
            "" => (Self::default(), None),
            text => match text.parse::<u64>() {
                Ok(flush_interval_ms @ 0..=MAX_FLUSH_INTERVAL_MS) => (Self { flush_interval_ms }, None),
                Ok(_) => (Self { flush_interval_ms: MAX_FLUSH_INTERVAL_MS }, Some(Problem::FlushIntervalTooLong)),
                Err(_) => (Self::default(), Some(Problem::FlushInterval)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_parse_leaves_the_default_and_says_so() {
        let parse = |text: &'static str| {
            let (config, problem) = Config::parse(|name| (name == FLUSH_INTERVAL_MS).then(|| text.to_owned()));
            (config.flush_interval_ms, problem)
        };
        assert_eq!(Config::parse(|_| None), (Config::default(), None));
        assert_eq!((parse(""), parse(" 0 "), parse("250")), ((1_000, None), (0, None), (250, None)));
        for text in ["-1", "1.5", "a", "99999999999999999999999"] {
            assert_eq!(parse(text), (1_000, Some(Problem::FlushInterval)), "{text}");
        }
        assert_eq!(parse("20001"), (20_000, Some(Problem::FlushIntervalTooLong)));
    }
}
