//! What the environment configures, parsed once per isolate. A value that does not parse is a [`Problem`] to log and
//! the documented default in effect.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tributary_emitter::config::parse_queue_shards;
use tributary_proto::envelope::{MAX_DIMENSION_BYTES, MAX_RESOLVER_ID_BYTES};
use tributary_state::StateKey;
use tributary_state::sealed::KEY_VARIABLE;

use crate::limits::{
    DEFAULT_MATERIALIZATION_TTL_SECS, MAX_FLUSH_INTERVAL_MS, MAX_MATERIALIZATION_TTL_SECS, MAX_STATE_REFRESH_MS,
    MIN_MATERIALIZATION_TTL_SECS, MIN_STATE_REFRESH_MS,
};

/// Binding of the queue that carries delta records.
pub const QUEUE_BINDING: &str = "DELTAS";
/// Binding of the KV namespace that holds the resolver state.
pub const STATE_KV_BINDING: &str = "CONFIDENCE_STATE_KV";
/// Its key.
pub const STATE_KEY: &str = "resolver_state";
/// Binding of the service that answers `/metrics` and `/status`.
pub const METRICS_BINDING: &str = "METRICS";

/// Header in which this Worker says what it is when it forwards a request.
pub const PRODUCER_HEADER: &str = "Tributary-Producer";

/// Binding that says which deploy this is.
pub const VERSION_METADATA: &str = "CF_VERSION_METADATA";

/// Name of the secret that encrypts resolve tokens.
pub const ENCRYPTION_KEY: &str = "RESOLVE_TOKEN_ENCRYPTION_KEY";
/// Name of the variable with the CORS origin.
pub const ALLOWED_ORIGIN: &str = "ALLOWED_ORIGIN";
/// Name of the variable that turns every resolve into one that applies.
pub const FORCE_APPLY: &str = "FORCE_APPLY";
/// Name of the variable with the `resolver_id` label.
pub const RESOLVER_ID: &str = "RESOLVER_ID";
/// Name of the variable with the `environment` dimension.
pub const ENVIRONMENT: &str = "ENVIRONMENT";
/// Name of the variable with the number of queues.
pub const QUEUE_SHARDS: &str = tributary_emitter::config::QUEUE_SHARDS;
/// Name of the variable with the coalescing window.
pub const FLUSH_INTERVAL_MS: &str = "FLUSH_INTERVAL_MS";
/// Binding of the KV namespace that holds sticky assignments. Optional: without it there are none.
pub const MATERIALIZATIONS_KV_BINDING: &str = "CONFIDENCE_MATERIALIZATIONS_KV";
/// Name of the variable with their lifetime.
pub const MATERIALIZATION_TTL_SECONDS: &str = "MATERIALIZATION_TTL_SECONDS";
/// Name of the variable with the age at which the resolver state is refreshed.
pub const STATE_REFRESH_MS: &str = "STATE_REFRESH_MS";

/// Bytes that nobody may read by accident: `Debug` and `Display` show only that there is a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself. Whoever calls this must not log or echo it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T> std::fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// The producer's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `RESOLVE_TOKEN_ENCRYPTION_KEY`: base64 of 16 bytes. Without it, deferred apply is refused.
    pub encryption_key: Option<Secret<[u8; 16]>>,
    /// `STATE_ENCRYPTION_KEY`: 64 hexadecimal digits, the key of an encrypted resolver state. Without it only a plain one
    /// is read.
    pub state_key: Option<StateKey>,
    /// `ALLOWED_ORIGIN`: value of `Access-Control-Allow-Origin`. Default `*`.
    pub allowed_origin: String,
    /// `FORCE_APPLY`: treat every resolve as `apply: true`. Default false.
    pub force_apply: bool,
    /// `RESOLVER_ID`: the `resolver_id` label, 1 to 128 bytes. Default `cf-resolver`.
    pub resolver_id: String,
    /// `ENVIRONMENT`: where this Worker is deployed to (`production`, `staging`), at most 64 bytes. Default: not said.
    pub environment: Option<String>,
    /// `FLUSH_INTERVAL_MS`: time for which deltas coalesce, 0 to 20,000; 0 sends at once. Default 1,000.
    pub flush_interval_ms: u64,
    /// `QUEUE_SHARDS`: queues that carry delta records, 1 to 16. Default 1.
    pub queue_shards: u32,
    /// `STATE_REFRESH_MS`: age at which the resolver state is read again, 1,000 to 86,400,000. Default 15,000.
    pub state_refresh_ms: u64,
    /// `MATERIALIZATION_TTL_SECONDS`: how long a sticky assignment is kept from the time it was made, 60 to 315,360,000;
    /// 0, which is `None` here, keeps it for ever. Default 7,776,000.
    pub materialization_ttl_secs: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encryption_key: None,
            state_key: None,
            allowed_origin: "*".to_owned(),
            force_apply: false,
            resolver_id: "cf-resolver".to_owned(),
            environment: None,
            flush_interval_ms: 1_000,
            queue_shards: 1,
            state_refresh_ms: 15_000,
            materialization_ttl_secs: Some(DEFAULT_MATERIALIZATION_TTL_SECS),
        }
    }
}

/// A value of the environment that could not be used as it is. Holds no value, so that a secret in the wrong variable
/// stays out of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not the kind of value that the variable takes.
    #[error("{name} is not {expected}; {effect}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What holds instead.
        effect: String,
    },
    /// A number that was moved into its range.
    #[error("{name} is out of its range; {used} is in effect")]
    Clamped {
        /// The variable.
        name: &'static str,
        /// The value in effect.
        used: u64,
    },
    /// A secret that is not set.
    #[error(
        "the secret {ENCRYPTION_KEY} is not set; resolves with apply=false and applies are refused. Set it to the \
         base64 of 16 random bytes"
    )]
    NoEncryptionKey,
}

impl Config {
    /// Parses the environment. An absent and an empty variable are the same.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let defaults = Self::default();
        let mut problems = Vec::new();
        let text = |name: &str| lookup(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());

        let encryption_key = match text(ENCRYPTION_KEY) {
            None => {
                problems.push(Problem::NoEncryptionKey);
                None
            }
            Some(encoded) => {
                let key = parse_key(&encoded);
                if key.is_none() {
                    problems.push(Problem::Unusable {
                        name: ENCRYPTION_KEY,
                        expected: "the base64 of 16 bytes",
                        effect: "resolves with apply=false and applies are refused".to_owned(),
                    });
                }
                key
            }
        };

        let state_key = text(KEY_VARIABLE).and_then(|text| {
            let key = StateKey::parse(&text).ok();
            if key.is_none() {
                problems.push(Problem::Unusable {
                    name: KEY_VARIABLE,
                    expected: "the 64 hexadecimal digits of a key of 32 bytes",
                    effect: "an encrypted resolver state cannot be read".to_owned(),
                });
            }
            key
        });

        let allowed_origin = match text(ALLOWED_ORIGIN) {
            None => defaults.allowed_origin,
            Some(origin) if is_header_value(&origin) => origin,
            Some(_) => {
                problems.push(unusable(ALLOWED_ORIGIN, "one origin in visible ASCII", &defaults.allowed_origin));
                defaults.allowed_origin
            }
        };

        let force_apply = match text(FORCE_APPLY).as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => defaults.force_apply,
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(_) => {
                problems.push(unusable(FORCE_APPLY, "true or false", "false"));
                defaults.force_apply
            }
        };

        let resolver_id = match text(RESOLVER_ID) {
            None => defaults.resolver_id,
            Some(id) if id.len() <= MAX_RESOLVER_ID_BYTES => id,
            Some(_) => {
                problems.push(unusable(RESOLVER_ID, "a text of at most 128 bytes", &defaults.resolver_id));
                defaults.resolver_id
            }
        };

        let environment = text(ENVIRONMENT).filter(|environment| {
            let fits = environment.len() <= MAX_DIMENSION_BYTES;
            if !fits {
                problems.push(Problem::Unusable {
                    name: ENVIRONMENT,
                    expected: "a text of at most 64 bytes",
                    effect: "no environment is said".to_owned(),
                });
            }
            fits
        });

        let queue_shards = text(QUEUE_SHARDS).map_or(defaults.queue_shards, |text| {
            parse_queue_shards(&text).unwrap_or_else(|| {
                problems.push(unusable(QUEUE_SHARDS, "a whole number from 1 to 16", "1"));
                defaults.queue_shards
            })
        });

        let mut millis = |name, default, least, most| millis(name, text(name), default, (least, most), &mut problems);
        let flush_interval_ms = millis(FLUSH_INTERVAL_MS, defaults.flush_interval_ms, 0, MAX_FLUSH_INTERVAL_MS);
        let state_refresh_ms =
            millis(STATE_REFRESH_MS, defaults.state_refresh_ms, MIN_STATE_REFRESH_MS, MAX_STATE_REFRESH_MS);

        let ttl_secs = seconds(
            MATERIALIZATION_TTL_SECONDS,
            text(MATERIALIZATION_TTL_SECONDS),
            DEFAULT_MATERIALIZATION_TTL_SECS,
            (MIN_MATERIALIZATION_TTL_SECS, MAX_MATERIALIZATION_TTL_SECS),
            &mut problems,
        );

        let config = Self {
            encryption_key,
            state_key,
            allowed_origin,
            force_apply,
            resolver_id,
            environment,
            flush_interval_ms,
            queue_shards,
            state_refresh_ms,
            materialization_ttl_secs: (ttl_secs > 0).then_some(ttl_secs),
        };
        (config, problems)
    }
}

fn parse_key(encoded: &str) -> Option<Secret<[u8; 16]>> {
    let bytes = STANDARD.decode(encoded).ok()?;
    <[u8; 16]>::try_from(bytes).ok().map(Secret::new)
}

/// Visible ASCII without spaces and commas: one origin or `*`, and nothing that could end a header.
fn is_header_value(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn unusable(name: &'static str, expected: &'static str, default: &str) -> Problem {
    Problem::Unusable { name, expected, effect: format!("the default {default} is in effect") }
}

fn millis(
    name: &'static str,
    text: Option<String>,
    default: u64,
    range: (u64, u64),
    problems: &mut Vec<Problem>,
) -> u64 {
    whole(name, "a whole number of milliseconds", text, default, |value| value.clamp(range.0, range.1), problems)
}

/// A time in seconds for which 0 means for ever.
fn seconds(
    name: &'static str,
    text: Option<String>,
    default: u64,
    range: (u64, u64),
    problems: &mut Vec<Problem>,
) -> u64 {
    let in_range = |value: u64| if value == 0 { 0 } else { value.clamp(range.0, range.1) };
    whole(name, "a whole number of seconds", text, default, in_range, problems)
}

fn whole(
    name: &'static str,
    expected: &'static str,
    text: Option<String>,
    default: u64,
    in_range: impl FnOnce(u64) -> u64,
    problems: &mut Vec<Problem>,
) -> u64 {
    let Some(text) = text else { return default };
    let Ok(value) = text.parse::<u64>() else {
        problems.push(unusable(name, expected, &default.to_string()));
        return default;
    };
    let used = in_range(value);
    if used != value {
        problems.push(Problem::Clamped { name, used });
    }
    used
}

#[cfg(test)]
mod tests;
