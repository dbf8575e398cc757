//! `POST /v1/flags:apply`: the flags of a resolve token were used. No I/O; the clock and the logs are the host's.

use confidence_resolver::proto::confidence::flags::resolver::v1::{ApplyFlagsRequest, ApplyFlagsResponse};
use confidence_resolver::proto::google::{Struct, Timestamp};
use confidence_resolver::{Host, ResolverState};

use crate::config::Config;
use crate::error::ApiError;
use crate::limits::MAX_FLAGS_PER_REQUEST;
use crate::resolve::encryption_key;

/// Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of a protobuf timestamp. Differences within it
/// are far from every limit of the date arithmetic behind.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What the crate says when a flag is not in the token; the only one of its errors that is about the request.
const NOT_IN_TOKEN: &str = "Flag in resolve token does not match flag in request";

/// Whether an apply did anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Assignments were logged.
    Logged,
    /// There was nothing to do.
    Nothing,
}

/// Parses a request.
///
/// # Errors
/// [`ApiError::BadJson`], [`ApiError::TooManyFlags`].
pub fn parse(body: &[u8]) -> Result<ApplyFlagsRequest, ApiError> {
    let request: ApplyFlagsRequest = serde_json::from_slice(body).map_err(|error| ApiError::from_json(&error))?;
    if request.flags.len() > MAX_FLAGS_PER_REQUEST {
        return Err(ApiError::TooManyFlags);
    }
    Ok(request)
}

/// Whether there is nothing to do: the token is empty, as a resolve with `apply: true` gives it. That is a success for
/// everybody and needs no resolver state.
pub fn is_no_op(request: &ApplyFlagsRequest) -> bool {
    request.resolve_token.is_empty()
}

/// Applies.
///
/// # Errors
/// [`ApiError::UnknownClient`], [`ApiError::NoEncryptionKey`], [`ApiError::BadField`], [`ApiError::FlagNotInToken`];
/// [`ApiError::BadToken`] whatever is wrong with the token. Nothing is logged then.
pub fn run<H: Host>(request: &ApplyFlagsRequest, state: &ResolverState, config: &Config) -> Result<Applied, ApiError> {
    if is_no_op(request) {
        return Ok(Applied::Nothing);
    }
    if !state.secrets.contains_key(&request.client_secret) {
        return Err(ApiError::UnknownClient);
    }
    if config.encryption_key.is_none() {
        return Err(ApiError::NoEncryptionKey);
    }
    if !in_range(request.send_time.as_ref()) {
        return Err(ApiError::BadField("sendTime is missing or out of range"));
    }
    if !request.flags.iter().all(|flag| in_range(flag.apply_time.as_ref())) {
        return Err(ApiError::BadField("an applyTime is missing or out of range"));
    }
    let resolver = state
        .get_resolver::<H>(&request.client_secret, Struct::default(), &encryption_key(config))
        .map_err(|_| ApiError::UnknownClient)?;
    resolver
        .apply_flags(request)
        .map_err(|text| if text == NOT_IN_TOKEN { ApiError::FlagNotInToken } else { ApiError::BadToken })?;
    Ok(if request.flags.is_empty() { Applied::Nothing } else { Applied::Logged })
}

/// The body of the answer.
///
/// # Errors
/// [`ApiError::Internal`], never in practice.
pub fn response() -> Result<String, ApiError> {
    serde_json::to_string(&ApplyFlagsResponse::default())
        .map_err(|_| ApiError::Internal("the response has no JSON form"))
}

fn in_range(timestamp: Option<&Timestamp>) -> bool {
    timestamp.is_some_and(|timestamp| {
        TIMESTAMP_SECONDS.contains(&timestamp.seconds) && (0..1_000_000_000).contains(&timestamp.nanos)
    })
}

#[cfg(test)]
mod tests;
