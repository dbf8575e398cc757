//! Secrets, which come by the environment alone.

use std::collections::BTreeMap;

use base64::Engine as _;
use tributary_local::secrets::Secret;

use super::error::ConfigError;
use super::vars::Role;

/// The API token of Cloudflare.
pub const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
/// The client secret of Confidence.
pub const CLIENT_SECRET: &str = "CONFIDENCE_CLIENT_SECRET";
/// Bearer token of `/metrics`.
pub const METRICS_TOKEN: &str = "METRICS_TOKEN";
/// Key of resolve tokens.
pub const TOKEN_KEY: &str = "RESOLVE_TOKEN_ENCRYPTION_KEY";
/// Key under which the CDN encrypts the resolver state of this client.
pub const STATE_ENCRYPTION_KEY: &str = "STATE_ENCRYPTION_KEY";
/// Headers of the push, for all signals and for metrics.
pub const OTLP_HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"];
/// What makes the consumer push.
const OTLP_ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];

/// All of them.
pub const NAMES: [&str; 7] =
    [API_TOKEN, CLIENT_SECRET, METRICS_TOKEN, TOKEN_KEY, STATE_ENCRYPTION_KEY, OTLP_HEADERS[0], OTLP_HEADERS[1]];

/// What of them is set.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<&'static str, Secret>);

impl Secrets {
    /// Reads those that are set; an empty one counts as not set.
    ///
    /// # Errors
    /// [`ConfigError::Secret`] for a key that is none, and for a token that cannot stand in a header.
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let set = NAMES.iter().filter_map(|name| {
            let value = environment.get(*name)?.trim();
            (!value.is_empty()).then(|| (*name, Secret::new(value)))
        });
        let secrets = Self(set.collect());
        if let Some(key) = secrets.get(TOKEN_KEY) {
            let is_key = base64::prelude::BASE64_STANDARD.decode(key.reveal()).is_ok_and(|bytes| bytes.len() == 16);
            if !is_key {
                return Err(ConfigError::Secret { name: TOKEN_KEY, expected: "the base64 of 16 bytes" });
            }
        }
        let is_hex = |key: &Secret| key.reveal().len() == 64 && key.reveal().bytes().all(|b| b.is_ascii_hexdigit());
        if secrets.get(STATE_ENCRYPTION_KEY).is_some_and(|key| !is_hex(key)) {
            return Err(ConfigError::Secret { name: STATE_ENCRYPTION_KEY, expected: "64 hexadecimal digits" });
        }
        for name in [API_TOKEN, CLIENT_SECRET, METRICS_TOKEN] {
            let is_printable = |secret: &Secret| secret.reveal().bytes().all(|byte| byte.is_ascii_graphic());
            if secrets.get(name).is_some_and(|secret| !is_printable(secret)) {
                return Err(ConfigError::Secret { name, expected: "visible ASCII without spaces" });
            }
        }
        Ok(secrets)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// One that must be there.
    ///
    /// # Errors
    /// [`ConfigError::NoSecret`] with where to get it.
    pub fn need(&self, name: &'static str) -> Result<&Secret, ConfigError> {
        self.get(name).ok_or(ConfigError::NoSecret {
            name,
            advice: match name {
                API_TOKEN => {
                    "create an API token at https://dash.cloudflare.com/profile/api-tokens with the permissions that \
                     docs/deploy.md lists, and export it"
                }
                _ => "export the secret of a client of your Confidence account (Confidence › Admin › Clients)",
            },
        })
    }

    /// All values, for a search in what is printed.
    pub fn values(&self) -> impl Iterator<Item = &Secret> {
        self.0.values()
    }

    /// What is set for a Worker as it is given. Headers of the push only where `vars` say where to push to: a build
    /// machine may have some of its own.
    #[must_use]
    pub fn given(&self, role: Role, vars: &BTreeMap<String, String>) -> BTreeMap<String, Secret> {
        let pushes = OTLP_ENDPOINTS.iter().any(|name| vars.get(*name).is_some_and(|value| !value.is_empty()));
        let names: Vec<&str> = match role {
            Role::Producer => vec![TOKEN_KEY, STATE_ENCRYPTION_KEY],
            Role::Consumer if pushes => {
                [CLIENT_SECRET, METRICS_TOKEN, STATE_ENCRYPTION_KEY].into_iter().chain(OTLP_HEADERS).collect()
            }
            Role::Consumer => vec![CLIENT_SECRET, METRICS_TOKEN, STATE_ENCRYPTION_KEY],
        };
        names.into_iter().filter_map(|name| Some((name.to_owned(), self.get(name)?.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Secrets, ConfigError> {
        Secrets::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn each_worker_gets_its_own() {
        let secrets = read(&[
            (API_TOKEN, "t"),
            (CLIENT_SECRET, "s"),
            (METRICS_TOKEN, ""),
            (TOKEN_KEY, "AAAAAAAAAAAAAAAAAAAAAA=="),
            (OTLP_HEADERS[0], "api-key=k"),
        ])
        .unwrap();
        let names = |role, vars: &[(&str, &str)]| {
            let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            secrets.given(role, &vars).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(Role::Producer, &[]), [TOKEN_KEY]);
        let key = "0123456789abcdefABCDEF00112233440123456789abcdefABCDEF0011223344";
        let sealed = read(&[(STATE_ENCRYPTION_KEY, key)]).unwrap();
        for role in Role::ALL {
            assert!(sealed.given(role, &BTreeMap::new()).contains_key(STATE_ENCRYPTION_KEY), "{role:?}");
        }
        assert_eq!(names(Role::Consumer, &[]), [CLIENT_SECRET], "headers of whom?");
        let endpoint = [(OTLP_ENDPOINTS[1], "https://collector.example.com")];
        assert_eq!(names(Role::Consumer, &endpoint), [CLIENT_SECRET, OTLP_HEADERS[0]]);
        assert!(!format!("{secrets:?}").contains("api-key"));
    }

    #[test]
    fn what_cannot_be_a_secret_is_named_and_not_shown() {
        for (name, bad) in [
            (TOKEN_KEY, "hunter2"),
            (TOKEN_KEY, "AAAA"),
            (METRICS_TOKEN, "hun ter2"),
            (STATE_ENCRYPTION_KEY, "hunter2"),
            (API_TOKEN, "hünter"),
        ] {
            let error = read(&[(name, bad)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains(bad), "{error}");
        }
        let error = read(&[]).unwrap().need(API_TOKEN).unwrap_err().to_string();
        assert!(error.contains("CLOUDFLARE_API_TOKEN is not set") && error.contains("docs/deploy.md"), "{error}");
    }
}
