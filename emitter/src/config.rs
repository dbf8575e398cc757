//! What the environment configures.

use std::borrow::Cow;

use tributary_proto::envelope::MAX_LEDGERS;

use crate::limits::{DEFAULT_FLUSH_INTERVAL_MS, MAX_FLUSH_INTERVAL_MS};

/// Binding of the queue that carries deltas, where nothing else is said.
pub const QUEUE_BINDING: &str = "DELTAS";

/// Name of the variable with the coalescing window.
pub const FLUSH_INTERVAL_MS: &str = "FLUSH_INTERVAL_MS";

/// Name of the variable with the number of queues.
pub const QUEUE_SHARDS: &str = "QUEUE_SHARDS";

/// Binding of the queue with a number: `binding` itself for the first, 0, and `DELTAS_1`, `DELTAS_2` … for the others.
pub fn queue_binding(binding: &str, queue: u32) -> Cow<'_, str> {
    if queue == 0 { Cow::Borrowed(binding) } else { Cow::Owned(format!("{binding}_{queue}")) }
}

/// Reads the number of queues; `None` if the text is none from 1 to [`MAX_LEDGERS`].
pub fn parse_queue_shards(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|shards| (1..=MAX_LEDGERS).contains(shards))
}

/// The configuration of an emitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `FLUSH_INTERVAL_MS`: time for which deltas coalesce, 0 to 20,000; 0 sends at once. Default 1,000.
    pub flush_interval_ms: u64,
    /// `QUEUE_SHARDS`: queues that carry deltas, 1 to 16, and so the ledgers that count them. Default 1.
    pub queue_shards: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { flush_interval_ms: DEFAULT_FLUSH_INTERVAL_MS, queue_shards: 1 }
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
    /// No number of queues.
    #[error("{QUEUE_SHARDS} is not a whole number from 1 to {MAX_LEDGERS}; 1 is in effect")]
    QueueShards,
}

impl Config {
    /// Parses the environment. An absent and an empty variable are the same; one that does not parse is a [`Problem`] to
    /// log, and the default in effect.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let (mut config, mut problems) = (Self::default(), Vec::new());
        let text = |name: &str| lookup(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(text) = text(FLUSH_INTERVAL_MS) {
            match text.parse::<u64>() {
                Ok(flush_interval_ms @ 0..=MAX_FLUSH_INTERVAL_MS) => config.flush_interval_ms = flush_interval_ms,
                Ok(_) => {
                    config.flush_interval_ms = MAX_FLUSH_INTERVAL_MS;
                    problems.push(Problem::FlushIntervalTooLong);
                }
                Err(_) => problems.push(Problem::FlushInterval),
            }
        }
        if let Some(text) = text(QUEUE_SHARDS) {
            match parse_queue_shards(&text) {
                Some(queue_shards) => config.queue_shards = queue_shards,
                None => problems.push(Problem::QueueShards),
            }
        }
        (config, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_parse_leaves_the_default_and_says_so() {
        let parse = |text: &'static str| {
            let (config, problems) = Config::parse(|name| (name == FLUSH_INTERVAL_MS).then(|| text.to_owned()));
            (config.flush_interval_ms, problems)
        };
        assert_eq!(Config::parse(|_| None), (Config::default(), vec![]));
        assert_eq!((parse(""), parse(" 0 "), parse("250")), ((1_000, vec![]), (0, vec![]), (250, vec![])));
        for text in ["-1", "1.5", "a", "99999999999999999999999"] {
            assert_eq!(parse(text), (1_000, vec![Problem::FlushInterval]), "{text}");
        }
        assert_eq!(parse("20001"), (20_000, vec![Problem::FlushIntervalTooLong]));
    }

    #[test]
    fn a_number_of_queues_that_there_cannot_be_is_one() {
        let parse = |text: &'static str| {
            let (config, problems) = Config::parse(|name| (name == QUEUE_SHARDS).then(|| text.to_owned()));
            (config.queue_shards, problems)
        };
        assert_eq!((parse(""), parse(" 3 "), parse("16")), ((1, vec![]), (3, vec![]), (16, vec![])));
        for text in ["0", "17", "-1", "2.0", "three", "99999999999999999999999"] {
            assert_eq!(parse(text), (1, vec![Problem::QueueShards]), "{text}");
        }
        assert_eq!(Problem::QueueShards.to_string(), "QUEUE_SHARDS is not a whole number from 1 to 16; 1 is in effect");
        let bindings: Vec<_> = (0..3).map(|queue| queue_binding("DELTAS", queue)).collect();
        assert_eq!(bindings, ["DELTAS", "DELTAS_1", "DELTAS_2"]);
    }
}
