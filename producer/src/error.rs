//! Every failure that a caller can see, with its verdict: HTTP status, code, message. No message holds a secret.

use crate::config::ENCRYPTION_KEY;
use crate::limits::{MAX_BODY_BYTES, MAX_FLAGS_PER_REQUEST, MAX_MESSAGE_BYTES};
use crate::state::StateError;

/// Why a request was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No such path.
    #[error(
        "no such path; there are POST /v1/flags:resolve, POST /v1/flags:apply, GET /v1/state:etag, GET /metrics and \
         GET /status"
    )]
    NotFound,
    /// The path does not take the method.
    #[error("the path takes {allow}")]
    MethodNotAllowed {
        /// The methods that it takes, as in the `Allow` header.
        allow: &'static str,
    },
    /// A body over [`MAX_BODY_BYTES`].
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    /// The body could not be read to its end.
    #[error("the body could not be read")]
    BodyUnreadable,
    /// The body is not the JSON of the request.
    #[error("the body is not a valid request: {0}")]
    BadJson(String),
    /// More flags than one request may be for.
    #[error("the request is for more than {MAX_FLAGS_PER_REQUEST} flags")]
    TooManyFlags,
    /// The client secret belongs to no client.
    #[error("the client secret is not known to the resolver state")]
    UnknownClient,
    /// A field of an apply request that is missing or out of its range.
    #[error("{0}")]
    BadField(&'static str),
    /// A resolve token that this resolver did not make.
    #[error("the resolve token is not valid")]
    BadToken,
    /// A flag that the resolve token does not hold.
    #[error("a flag of the request is not in the resolve token")]
    FlagNotInToken,
    /// Deferred apply without a key.
    #[error(
        "deferred apply is off: set the secret {ENCRYPTION_KEY} to the base64 of 16 random bytes, or resolve with \
         apply=true"
    )]
    NoEncryptionKey,
    /// No resolver state.
    #[error("{0}")]
    State(#[from] StateError),
    /// `/metrics` and `/status` have nobody behind them.
    #[error("the service binding METRICS did not answer; deploy the consumer first and bind it")]
    MetricsUnavailable,
    /// The resolver refused or failed.
    #[error("the resolver failed: {0}")]
    Resolver(String),
    /// Something that the platform always has was missing.
    #[error("the Worker failed: {0}")]
    Internal(&'static str),
}

impl ApiError {
    /// Makes a [`ApiError::BadJson`] of the parser's error, without the strings that it quotes.
    pub fn from_json(error: &serde_json::Error) -> Self {
        Self::BadJson(without_quoted(&error.to_string()))
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::BodyTooLarge => 413,
            Self::UnknownClient => 401,
            Self::BodyUnreadable
            | Self::BadJson(_)
            | Self::TooManyFlags
            | Self::BadField(_)
            | Self::BadToken
            | Self::FlagNotInToken => 400,
            Self::NoEncryptionKey | Self::State(_) | Self::MetricsUnavailable => 503,
            Self::Resolver(_) | Self::Internal(_) => 500,
        }
    }

    /// The error's name in the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::BodyUnreadable => "BODY_UNREADABLE",
            Self::BadJson(_) => "BAD_JSON",
            Self::TooManyFlags => "TOO_MANY_FLAGS",
            Self::UnknownClient => "UNKNOWN_CLIENT",
            Self::BadField(_) => "BAD_FIELD",
            Self::BadToken => "BAD_RESOLVE_TOKEN",
            Self::FlagNotInToken => "FLAG_NOT_IN_TOKEN",
            Self::NoEncryptionKey => "NO_ENCRYPTION_KEY",
            Self::State(_) => "NO_RESOLVER_STATE",
            Self::MetricsUnavailable => "METRICS_UNAVAILABLE",
            Self::Resolver(_) => "RESOLVE_FAILED",
            Self::Internal(_) => "INTERNAL",
        }
    }
}

/// Shortens a message that came from elsewhere and replaces what it quotes: a parser quotes the value that it did not
/// expect, and that value may be a secret in the wrong field.
///
/// Double quotes come with escapes inside. Backticks come without (unknown names of an enum, with the known ones after
/// them), so a value could close them itself: everything from the first to the last of them goes.
pub fn without_quoted(text: &str) -> String {
    match text.split_once('`').map(|(before, rest)| (before, rest.rsplit_once('`'))) {
        Some((before, Some((_, after)))) => without_double_quoted(&format!("{before}`…`{after}")),
        Some((before, None)) => without_double_quoted(&format!("{before}`…")),
        None => without_double_quoted(text),
    }
}

fn without_double_quoted(text: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for character in text.chars() {
        if out.len() >= MAX_MESSAGE_BYTES {
            out.push('…');
            break;
        }
        match (quoted, character) {
            (false, '"') => {
                quoted = true;
                out.push_str("\"…");
            }
            (false, other) => out.push(other),
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (true, '"') => {
                quoted = false;
                out.push('"');
            }
            (true, _) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_error_says_where_and_never_what() {
        let error = serde_json::from_str::<bool>("\"hunter2 \\\" hunter2\"").unwrap_err();
        assert!(error.to_string().contains("hunter2"));
        let text = ApiError::from_json(&error).to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("expected a boolean at line 1 column"), "{text}");
    }

    #[test]
    fn a_value_in_backticks_is_not_echoed_even_if_it_closes_them_itself() {
        for secret in ["hunter2", "x` hunter2", "`hunter2", "\"`hunter2`\""] {
            let text = without_quoted(&format!("unknown variant `{secret}`, expected `A` or `B` at line 1 column 9"));
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("at line 1 column 9"), "{text}");
        }
        assert_eq!(without_quoted("unknown variant `hunter2"), "unknown variant `…");
    }

    #[test]
    fn a_long_message_is_cut() {
        assert!(without_quoted(&"é".repeat(10_000)).len() < 2 * MAX_MESSAGE_BYTES);
        assert_eq!(without_quoted(&format!("a \"{}\" b", "x".repeat(10_000))), "a \"…\" b");
    }
}
