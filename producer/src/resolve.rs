//! `POST /v1/flags:resolve`: from the bytes of a body to the bytes of an answer. No I/O; the clock and the logs are the
//! host's.

use bytes::Bytes;
use confidence_resolver::proto::confidence::flags::resolver::v1::{
    MaterializationRecord, ResolveFlagsRequest, ResolveFlagsResponse, ResolveProcessRequest,
};
use confidence_resolver::{Host, ResolverState};

use crate::config::Config;
use crate::error::{ApiError, without_quoted};
use crate::limits::MAX_FLAGS_PER_REQUEST;

/// A resolve request that passed the checks, ready for the clock to start.
#[derive(Debug)]
pub struct ResolveCall {
    request: ResolveFlagsRequest,
}

/// A resolve that came to its end.
#[derive(Debug)]
pub struct Resolved {
    /// What the client gets.
    pub response: ResolveFlagsResponse,
}

impl Resolved {
    /// The reason of every flag in the response, as the wire's numbers.
    pub fn reasons(&self) -> Vec<i32> {
        self.response.resolved_flags.iter().map(|flag| flag.reason).collect()
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`ApiError::Internal`] where a value has no JSON (a number that is not finite).
    pub fn to_json(&self) -> Result<String, ApiError> {
        serde_json::to_string(&self.response).map_err(|_| ApiError::Internal("the response has no JSON form"))
    }
}

/// Where one step of a resolve ended. Materializations are not read today, so a resolve always completes; the second
/// variant is where reading them will resume.
#[derive(Debug)]
pub enum Step {
    /// Done.
    Resolved(Resolved),
    /// The resolver wants to know these first; [`ResolveProcessRequest::resume`] goes on with `continuation`.
    Suspended {
        /// What to read.
        to_read: Vec<MaterializationRecord>,
        /// The resolver's own state.
        continuation: Vec<u8>,
    },
}

/// Parses and checks a request.
///
/// # Errors
/// [`ApiError::BadJson`], [`ApiError::TooManyFlags`].
pub fn parse(body: &[u8], config: &Config) -> Result<ResolveCall, ApiError> {
    let mut request: ResolveFlagsRequest = serde_json::from_slice(body).map_err(|error| ApiError::from_json(&error))?;
    if request.flags.len() > MAX_FLAGS_PER_REQUEST {
        return Err(ApiError::TooManyFlags);
    }
    request.apply |= config.force_apply;
    Ok(ResolveCall { request })
}

/// Resolves.
///
/// # Errors
/// [`ApiError::UnknownClient`], [`ApiError::NoEncryptionKey`], [`ApiError::TooManyFlags`], [`ApiError::Resolver`],
/// [`ApiError::Internal`]. Nothing is logged then.
pub fn run<H: Host>(call: ResolveCall, state: &ResolverState, config: &Config) -> Result<Resolved, ApiError> {
    let ResolveCall { mut request } = call;
    let secret = std::mem::take(&mut request.client_secret);
    let context = request.evaluation_context.take().unwrap_or_default();
    // Looked up first: the crate's own error lists parts of other clients' secrets, and slices this one by bytes.
    if !state.secrets.contains_key(&secret) {
        return Err(ApiError::UnknownClient);
    }
    if !request.apply && config.encryption_key.is_none() {
        return Err(ApiError::NoEncryptionKey);
    }
    let resolver =
        state.get_resolver::<H>(&secret, context, &encryption_key(config)).map_err(|_| ApiError::UnknownClient)?;
    let answer = resolver.resolve_flags(ResolveProcessRequest::without_materializations(request)).map_err(refusal)?;
    match step(answer)? {
        Step::Resolved(resolved) => Ok(resolved),
        Step::Suspended { .. } => Err(ApiError::Internal("the resolver asked for materializations")),
    }
}

/// The key for the crate: empty when there is none, which [`crate::token`] refuses.
pub fn encryption_key(config: &Config) -> Bytes {
    config.encryption_key.as_ref().map_or_else(Bytes::new, |key| Bytes::copy_from_slice(key.expose()))
}

/// The crate's errors are texts. The one that a client can cause is asking for all of more flags than it resolves.
fn refusal(text: String) -> ApiError {
    if text.starts_with("max ") { ApiError::TooManyFlags } else { ApiError::Resolver(without_quoted(&text)) }
}

fn step(
    answer: confidence_resolver::proto::confidence::flags::resolver::v1::ResolveProcessResponse,
) -> Result<Step, ApiError> {
    use confidence_resolver::proto::confidence::flags::resolver::v1::resolve_process_response::Result as Outcome;
    match answer.result {
        Some(Outcome::Resolved(resolved)) => {
            let response = resolved.response.ok_or(ApiError::Internal("the resolver gave no response"))?;
            Ok(Step::Resolved(Resolved { response }))
        }
        Some(Outcome::Suspended(suspended)) => {
            Ok(Step::Suspended { to_read: suspended.materializations_to_read, continuation: suspended.state })
        }
        None => Err(ApiError::Internal("the resolver gave no result")),
    }
}

#[cfg(test)]
mod tests;
