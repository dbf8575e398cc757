//! `POST /v1/flags:resolve`: from the bytes of a body to the bytes of an answer. No I/O; the clock and the logs are the
//! host's.

use std::collections::BTreeSet;

use bytes::Bytes;
use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::resolver::v1::resolve_process_response::Result as Outcome;
use confidence_resolver::proto::confidence::flags::resolver::v1::{
    MaterializationRecord, ResolveFlagsRequest, ResolveFlagsResponse, ResolveProcessRequest, ResolveProcessResponse,
};
use confidence_resolver::{AccountResolver, Host, ResolveProcessState, ResolverState};

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
    /// Who was assigned what, to be stored after the response; empty where nothing is sticky.
    pub assigned: Vec<MaterializationRecord>,
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

/// Where the first step of a resolve ended.
pub enum Step<'a, H: Host> {
    /// Done.
    Resolved(Resolved),
    /// The resolver has to know more.
    Suspended(Box<Suspended<'a, H>>),
}

impl<H: Host> Step<'_, H> {
    /// What it comes to where no records can be had.
    ///
    /// # Errors
    /// As [`Suspended::give_up`].
    pub fn without_records(self) -> Result<Resolved, ApiError> {
        match self {
            Self::Resolved(resolved) => Ok(resolved),
            Self::Suspended(suspended) => suspended.give_up(),
        }
    }
}

/// A resolve that waits for records. Nothing of it is logged yet.
pub struct Suspended<'a, H: Host> {
    resolver: AccountResolver<'a, H>,
    /// What the resolver did so far.
    process: ResolveProcessState,
    /// The records to read.
    pub asked: Vec<MaterializationRecord>,
}

impl<H: Host> Suspended<'_, H> {
    /// Goes on with the records that were found; those that are not among them do not exist.
    ///
    /// # Errors
    /// [`ApiError::Resolver`], [`ApiError::Internal`]. Nothing is logged then.
    pub fn resume(self, found: Vec<MaterializationRecord>) -> Result<Resolved, ApiError> {
        let Self { resolver, mut process, .. } = self;
        // The resolver (0.26.1) adds its assignments so far to those of the second step, and fails where the second step
        // repeats one: a rule that lets somebody fall through, in a flag that is suspended later. Added here instead.
        let before = std::mem::take(&mut process.materializations_to_write);
        let resume = ResolveProcessRequest::resume(found, process.encode_to_vec());
        let mut resolved = finished(resolver.resolve_flags(resume).map_err(refusal)?)?;
        let missing: Vec<_> = {
            let known: BTreeSet<_> = resolved.assigned.iter().map(place).collect();
            before.into_iter().filter(|record| !known.contains(&place(record))).collect()
        };
        resolved.assigned.extend(missing);
        Ok(resolved)
    }

    /// Goes on without any: the flags that need some are answered with `MATERIALIZATION_NOT_SUPPORTED`, all others as
    /// usual, and nothing is assigned that would have to be stored.
    ///
    /// # Errors
    /// As [`Suspended::resume`].
    pub fn give_up(self) -> Result<Resolved, ApiError> {
        let request = self.process.resolve_request.ok_or(ApiError::Internal("the resolver kept no request"))?;
        finished(
            self.resolver.resolve_flags(ResolveProcessRequest::without_materializations(request)).map_err(refusal)?,
        )
    }
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

/// Resolves, as far as that goes without a store. `is_sticky` says whether there is one: without it the flags that need one
/// are answered with `MATERIALIZATION_NOT_SUPPORTED`, and a resolve never suspends.
///
/// # Errors
/// [`ApiError::UnknownClient`], [`ApiError::NoEncryptionKey`], [`ApiError::TooManyFlags`], [`ApiError::Resolver`],
/// [`ApiError::Internal`]. Nothing is logged then.
pub fn run<'a, H: Host>(
    call: ResolveCall,
    state: &'a ResolverState,
    config: &Config,
    is_sticky: bool,
) -> Result<Step<'a, H>, ApiError> {
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
    let process = if is_sticky {
        ResolveProcessRequest::deferred_materializations(request)
    } else {
        ResolveProcessRequest::without_materializations(request)
    };
    let answer = resolver.resolve_flags(process).map_err(refusal)?;
    let Some(Outcome::Suspended(suspended)) = answer.result else { return finished(answer).map(Step::Resolved) };
    let process = ResolveProcessState::decode(suspended.state.as_slice())
        .map_err(|_| ApiError::Internal("the resolver's continuation does not decode"))?;
    Ok(Step::Suspended(Box::new(Suspended { resolver, process, asked: suspended.materializations_to_read })))
}

/// The key for the crate: empty when there is none, which [`crate::token`] refuses.
pub fn encryption_key(config: &Config) -> Bytes {
    config.encryption_key.as_ref().map_or_else(Bytes::new, |key| Bytes::copy_from_slice(key.expose()))
}

/// The crate's errors are texts. The one that a client can cause is asking for all of more flags than it resolves.
fn refusal(text: String) -> ApiError {
    if text.starts_with("max ") { ApiError::TooManyFlags } else { ApiError::Resolver(without_quoted(&text)) }
}

/// What a record is about, whatever variant it holds.
fn place(record: &MaterializationRecord) -> (&str, &str, &str) {
    (&record.unit, &record.materialization, &record.rule)
}

fn finished(answer: ResolveProcessResponse) -> Result<Resolved, ApiError> {
    match answer.result {
        Some(Outcome::Resolved(resolved)) => {
            let response = resolved.response.ok_or(ApiError::Internal("the resolver gave no response"))?;
            Ok(Resolved { response, assigned: resolved.materializations_to_write })
        }
        Some(Outcome::Suspended(_)) => Err(ApiError::Internal("the resolver asked for materializations again")),
        None => Err(ApiError::Internal("the resolver gave no result")),
    }
}

#[cfg(test)]
mod tests;
