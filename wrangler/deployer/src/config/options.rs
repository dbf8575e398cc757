//! Every option, once.

use crate::limits::{MAX_BATCH_SIZE, MAX_BATCH_TIMEOUT, MAX_RETRY_DELAY};

/// The values that an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text; what it may be is in the pattern of the schema, and said in words.
    Text {
        /// A regular expression.
        pattern: &'static str,
        /// The same in words.
        expected: &'static str,
    },
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
}

/// One option of an installation.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Key in `tributary.toml`; a dot means a table.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Flag.
    pub flag: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, in words.
    pub default: &'static str,
    /// What it is.
    pub help: &'static str,
}

const fn option(
    key: &'static str,
    variable: &'static str,
    flag: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { key, variable, flag, kind, default, help }
}

/// All of them, in the order of the docs.
pub const OPTIONS: [OptionSpec; 9] = [
    option(
        "prefix",
        "TRIBUTARY_PREFIX",
        "--prefix",
        Kind::Text {
            pattern: "^([a-z0-9]+(-[a-z0-9]+)*)?$",
            expected: "at most 32 of a-z, 0-9 and single hyphens within",
        },
        "none",
        "stands before the names of Workers, queues and KV namespaces, so that an account can hold several installations",
    ),
    option(
        "account_id",
        "CLOUDFLARE_ACCOUNT_ID",
        "--account-id",
        Kind::Text { pattern: "^[0-9a-zA-Z_-]{1,64}$", expected: "the id of an account, 32 hexadecimal digits" },
        "the account that the token sees",
        "the Cloudflare account; needed where the token sees several",
    ),
    option(
        "materializations",
        "TRIBUTARY_MATERIALIZATIONS",
        "--materializations",
        Kind::Switch,
        "false",
        "creates the KV namespace of sticky assignments and binds it to the producer",
    ),
    option(
        "state_cdn_url",
        "CONFIDENCE_CDN_URL",
        "--state-cdn-url",
        Kind::Text { pattern: "^https?://", expected: "a URL that starts with http:// or https://" },
        "Confidence's CDN",
        "where the resolver state comes from: the hash of the client secret is added to it",
    ),
    option(
        "queue_shards",
        "TRIBUTARY_QUEUE_SHARDS",
        "--queue-shards",
        Kind::Number { min: 1, max: tributary_proto::envelope::MAX_LEDGERS as u64 },
        "1",
        "delta queues, each for 5,000 messages a second; lowered, those that are there are emptied",
    ),
    option(
        "queue.max_batch_size",
        "TRIBUTARY_MAX_BATCH_SIZE",
        "--max-batch-size",
        Kind::Number { min: 1, max: MAX_BATCH_SIZE },
        "100",
        "messages that the consumer gets at once, at most",
    ),
    option(
        "queue.max_batch_timeout",
        "TRIBUTARY_MAX_BATCH_TIMEOUT",
        "--max-batch-timeout",
        Kind::Number { min: 0, max: MAX_BATCH_TIMEOUT },
        "2",
        "seconds that a batch waits to be full",
    ),
    option(
        "queue.max_retries",
        "TRIBUTARY_MAX_RETRIES",
        "--max-retries",
        // The consumer itself gives up after this many, with the reason; a queue that retries longer would not be heard.
        Kind::Number { min: 0, max: tributary_consumer::limits::MAX_RETRIES as u64 },
        "20",
        "redeliveries of a message before it becomes a dead letter. With fewer than 20 the queue gives up before the \
         consumer does, and the letter does not say why",
    ),
    option(
        "queue.retry_delay",
        "TRIBUTARY_RETRY_DELAY",
        "--retry-delay",
        Kind::Number { min: 0, max: MAX_RETRY_DELAY },
        "2",
        "seconds until a redelivery for which the consumer chose no delay",
    ),
];

impl OptionSpec {
    /// Takes a value, trimmed; an empty one counts as none, which is `Ok(None)`.
    ///
    /// # Errors
    /// What the option takes, in words.
    pub fn check(&self, value: &str) -> Result<Option<Value>, String> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(None);
        }
        let is_fit = match self.kind {
            Kind::Switch => value.parse().ok().map(Value::Switch),
            Kind::Number { min, max } => {
                value.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Number)
            }
            Kind::Text { .. } => self.is_text(value).then(|| Value::Text(value.to_owned())),
        };
        is_fit.map(Some).ok_or_else(|| self.expected())
    }

    /// What it takes, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        match self.kind {
            Kind::Switch => "true or false".to_owned(),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Text { expected, .. } => expected.to_owned(),
        }
    }

    /// The patterns of the texts, without an engine for regular expressions; a test compares the two.
    fn is_text(&self, value: &str) -> bool {
        match self.key {
            "prefix" => crate::names::Names::new(value).is_some(),
            "account_id" => {
                value.len() <= 64 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            }
            _ => value.starts_with("https://") || value.starts_with("http://"),
        }
    }
}

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Switch`].
    Switch(bool),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_alike() {
        for names in [OPTIONS.map(|o| o.key), OPTIONS.map(|o| o.variable), OPTIONS.map(|o| o.flag)] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), OPTIONS.len());
        }
        for option in OPTIONS {
            let word = option.key.rsplit('.').next().unwrap();
            assert_eq!(option.flag, format!("--{}", word.replace('_', "-")));
        }
    }

    #[test]
    fn values_are_checked() {
        let of = |key: &str| *OPTIONS.iter().find(|option| option.key == key).unwrap();
        assert_eq!(of("prefix").check(" eu "), Ok(Some(Value::Text("eu".to_owned()))));
        assert_eq!(of("prefix").check(""), Ok(None));
        assert_eq!(of("queue.max_batch_size").check("100"), Ok(Some(Value::Number(100))));
        assert_eq!(of("materializations").check("true"), Ok(Some(Value::Switch(true))));
        for (key, bad) in [
            ("prefix", "Eu"),
            ("account_id", "a/b"),
            ("state_cdn_url", "ftp://x"),
            ("materializations", "yes"),
            ("queue.max_batch_size", "101"),
            ("queue.max_batch_size", "0"),
            ("queue.max_batch_timeout", "61"),
            ("queue.max_retries", "21"),
            ("queue.retry_delay", "-1"),
            ("queue_shards", "1.5"),
        ] {
            assert_eq!(of(key).check(bad), Err(of(key).expected()), "{key}={bad}");
        }
    }
}
