//! Who may read: a token, compared in constant time; without a token configured, nobody.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::header::bounded;
use crate::config::{Config, Secret};

/// What the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Granted,
    /// Nothing: no token, or not the right one.
    Denied,
    /// Nothing, and nobody may: no token is configured, and the endpoint stays closed instead of opening.
    Unconfigured,
}

/// Decides by the `Authorization` header: `Bearer` with `METRICS_TOKEN`, or `ClientSecret` with
/// `CONFIDENCE_CLIENT_SECRET`. The scheme is compared without case, as HTTP has it.
pub fn access(config: &Config, authorization: Option<&str>) -> Access {
    if config.metrics_token.is_none() && config.client_secret.is_none() {
        return Access::Unconfigured;
    }
    let Some((scheme, credentials)) = bounded(authorization).and_then(|header| header.trim().split_once(' ')) else {
        return Access::Denied;
    };
    let expected = if scheme.eq_ignore_ascii_case("Bearer") {
        config.metrics_token.as_ref()
    } else if scheme.eq_ignore_ascii_case("ClientSecret") {
        config.client_secret.as_ref()
    } else {
        None
    };
    match expected {
        Some(secret) if is_same(secret, credentials.trim()) => Access::Granted,
        _ => Access::Denied,
    }
}

/// The same for what changes something or shows what messages hold: `METRICS_TOKEN` alone. A client secret is not the
/// operator's; it often stands in the code of a front end.
pub fn operator_access(config: &Config, authorization: Option<&str>) -> Access {
    access(&Config { client_secret: None, ..config.clone() }, authorization)
}

/// Compares digests, so that neither the place of a difference nor the length of the secret shows in the time taken.
fn is_same(secret: &Secret, given: &str) -> bool {
    let digest = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
    digest(secret.expose()).ct_eq(&digest(given)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(variables: &[(&'static str, &'static str)]) -> Config {
        Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
    }

    #[test]
    fn without_a_configured_token_the_endpoint_is_closed() {
        for variables in [&[][..], &[("METRICS_TOKEN", "")]] {
            for header in [None, Some("Bearer "), Some("Bearer x"), Some("ClientSecret ")] {
                assert_eq!(access(&config(variables), header), Access::Unconfigured);
            }
        }
    }

    #[test]
    fn each_scheme_takes_its_own_secret_only() {
        let config = config(&[("METRICS_TOKEN", "token"), ("CONFIDENCE_CLIENT_SECRET", "secret")]);
        for header in ["Bearer token", "bearer token", "BEARER  token ", "ClientSecret secret", "clientsecret secret"] {
            assert_eq!(access(&config, Some(header)), Access::Granted, "{header}");
        }
        for header in ["Bearer secret", "ClientSecret token", "Basic token", "token", "", "Bearer", "Bearer tokem"] {
            assert_eq!(access(&config, Some(header)), Access::Denied, "{header}");
        }
        assert_eq!(access(&config, None), Access::Denied);
        let long = format!("Bearer {}token", " ".repeat(10_000));
        assert_eq!(access(&config, Some(&long)), Access::Denied, "a header without bound is not read");
    }

    #[test]
    fn a_client_secret_reads_metrics_and_no_more() {
        let both = config(&[("METRICS_TOKEN", "token"), ("CONFIDENCE_CLIENT_SECRET", "secret")]);
        assert_eq!(operator_access(&both, Some("Bearer token")), Access::Granted);
        assert_eq!(operator_access(&both, Some("ClientSecret secret")), Access::Denied);
        let secret_alone = config(&[("CONFIDENCE_CLIENT_SECRET", "secret")]);
        assert_eq!(operator_access(&secret_alone, Some("ClientSecret secret")), Access::Unconfigured);
    }

    #[test]
    fn a_scheme_whose_secret_is_not_configured_is_denied() {
        let config = config(&[("METRICS_TOKEN", "token")]);
        assert_eq!(access(&config, Some("ClientSecret ")), Access::Denied);
        assert_eq!(access(&config, Some("ClientSecret token")), Access::Denied);
    }
}
