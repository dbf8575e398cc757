//! The resolver state of an isolate: when to read it again, when to parse it again, what to answer without one.
//!
//! Parsed once per isolate and kept behind an `Rc`, so that a resolve in progress keeps the state that it began with.
//! Every load and refresh is an I/O of the request that began it: concurrent cold requests each read KV, and the first
//! parse serves all.
//!
//! A change is to be seen within a minute of its write. KV may answer with what it read up to 30 s ago
//! ([`KV_CACHE_TTL_SECS`](crate::limits::KV_CACHE_TTL_SECS)), so no resolve may use a state that was read more than 30 s
//! ago. A busy isolate reads every 15 s, after a response, and no resolve waits for it. One that was idle would answer
//! with what was true when it last had something to do: there the first resolve waits, as that of a cold isolate does.
//! With the defaults that makes 30 + 25 = 55 s and the time that a read takes.

use std::collections::BTreeSet;
use std::rc::Rc;

use confidence_resolver::ResolverState;
use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1::ResolverState as ResolverStatePb;
use confidence_resolver::proto::confidence::flags::resolver::v1::{Sdk, SdkId, sdk};
use confidence_resolver::proto::confidence::flags::types::v1::targeting::criterion::Criterion;
use serde_json::Value;
use tributary_state::ServedState;
use tributary_state::StateError as ServedError;

use crate::config::{STATE_KEY, STATE_KV_BINDING};
use crate::limits::{FAILED_LOAD_HOLD_MS, REFRESH_GRACE_MS, REFRESH_LEASE_MS};

/// Why there is no resolver state, or no newer one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// KV has no value under the key.
    #[error(
        "there is no resolver state: KV {STATE_KV_BINDING} has no key {STATE_KEY}. Put the bytes that the Confidence \
         CDN serves for the client secret there, for instance with `wrangler kv key put --remote --binding \
         {STATE_KV_BINDING} {STATE_KEY} --path state.pb`"
    )]
    Missing,
    /// KV failed, or the binding is missing.
    #[error("the resolver state could not be read from KV {STATE_KV_BINDING}: {0}")]
    Unreadable(String),
    /// The value is not what the CDN serves.
    #[error(
        "the value of {STATE_KEY} in KV {STATE_KV_BINDING} is not a resolver state ({0}). Put the bytes that the \
         Confidence CDN serves for the client secret there, unchanged"
    )]
    Corrupt(&'static str),
    /// The value is not even the wrapper of one.
    #[error(
        "the value of {STATE_KEY} in KV {STATE_KV_BINDING} is not a resolver state ({0}). Put the bytes that the \
         Confidence CDN serves for the client secret there, unchanged"
    )]
    NotServed(#[from] ServedError),
}

/// A parsed state.
#[derive(Debug)]
pub struct LoadedState {
    /// What the resolver resolves from.
    pub resolver: ResolverState,
    /// Its version: the etag in the KV metadata, or a hash of the bytes.
    pub etag: String,
    /// When it took effect in this isolate, in milliseconds since the epoch.
    pub changed_ms: u64,
    /// Materializations for which a segment asks the store whether somebody is in them.
    pub included: BTreeSet<String>,
}

/// What KV returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The value.
    pub bytes: Vec<u8>,
    /// Its metadata.
    pub metadata: Option<Value>,
}

impl Fetched {
    /// The version of the value: `etag` of its metadata if there is one, else a hash of the bytes.
    pub fn version(&self) -> String {
        let etag = self.metadata.as_ref().and_then(|metadata| metadata.get("etag")).and_then(Value::as_str);
        match etag {
            Some(etag) if !etag.is_empty() => etag.to_owned(),
            _ => format!("{:016x}-{:x}", fnv1a(&self.bytes), self.bytes.len()),
        }
    }

    /// What a value means that must be plain; the Worker reads encrypted ones as well.
    ///
    /// # Errors
    /// [`StateError::NotServed`].
    pub fn into_plain(self) -> Result<Found, StateError> {
        let version = self.version();
        Ok(Found::Other { version, served: ServedState::decode(self.bytes.into())? })
    }
}

/// What a read of KV found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The version that is in effect; it is neither decrypted nor parsed again.
    Same,
    /// Another one.
    Other {
        /// Its version.
        version: String,
        /// The state, no longer encrypted.
        served: ServedState,
    },
}

/// What a request does about the state.
#[derive(Debug)]
pub enum Decision {
    /// Use this one.
    Use(Rc<LoadedState>),
    /// Use this one, and read KV again after the response. The refresh is claimed by the caller.
    UseAndRefresh(Rc<LoadedState>),
    /// This one is older than a change may take to be seen: read KV now, and use it only if that does not help in time.
    Reload(Rc<LoadedState>),
    /// There is none: read KV now.
    Load,
    /// There is none, and a load failed a moment ago: answer with its error.
    Refuse(StateError),
}

/// The state of one isolate and the time of its reads. Times are milliseconds since the epoch.
#[derive(Debug, Default)]
pub struct StateCache {
    current: Option<Rc<LoadedState>>,
    /// When KV was last asked, with or without success.
    checked_ms: u64,
    /// A refresh is on its way until then, at the latest.
    refreshing_until_ms: u64,
    failure: Option<StateError>,
}

impl StateCache {
    /// Decides what a request at `now_ms` does; `refresh_ms` is the age at which a state is read again.
    pub fn decide(&mut self, now_ms: u64, refresh_ms: u64) -> Decision {
        let age_ms = now_ms.saturating_sub(self.checked_ms);
        let Some(current) = &self.current else {
            return match &self.failure {
                Some(error) if age_ms < FAILED_LOAD_HOLD_MS => Decision::Refuse(error.clone()),
                _ => Decision::Load,
            };
        };
        // Waiting is for a store that works: after a failure nobody waits until a read has succeeded.
        if age_ms >= refresh_ms.saturating_add(REFRESH_GRACE_MS) && self.failure.is_none() {
            return Decision::Reload(Rc::clone(current));
        }
        if age_ms < refresh_ms || now_ms < self.refreshing_until_ms {
            return Decision::Use(Rc::clone(current));
        }
        self.refreshing_until_ms = now_ms.saturating_add(REFRESH_LEASE_MS);
        Decision::UseAndRefresh(Rc::clone(current))
    }

    /// Whether the state in effect has this version.
    pub fn has(&self, version: &str) -> bool {
        self.current.as_ref().is_some_and(|current| current.etag == version)
    }

    /// Takes in what a read found at `now_ms` and gives the state in effect. A failure keeps the state that there was,
    /// and the next refresh comes an interval later.
    ///
    /// # Errors
    /// [`StateError`], to be logged when there is an older state and to be answered when there is none.
    pub fn finish(&mut self, now_ms: u64, found: Result<Found, StateError>) -> Result<Rc<LoadedState>, StateError> {
        self.checked_ms = now_ms;
        self.refreshing_until_ms = 0;
        let result = found.and_then(|found| match (found, &self.current) {
            (Found::Same, Some(current)) => Ok(Rc::clone(current)),
            // Never: only a state in effect can be the same.
            (Found::Same, None) => Err(StateError::Missing),
            (Found::Other { version, .. }, Some(current)) if current.etag == version => Ok(Rc::clone(current)),
            (Found::Other { version, served }, _) => {
                let resolver = parse(served)?;
                let included = included(&resolver);
                Ok(Rc::new(LoadedState { resolver, etag: version, changed_ms: now_ms, included }))
            }
        });
        match &result {
            Ok(state) => {
                self.current = Some(Rc::clone(state));
                self.failure = None;
            }
            Err(error) => self.failure = Some(error.clone()),
        }
        result
    }

    /// The state in effect, if any.
    pub fn current(&self) -> Option<Rc<LoadedState>> {
        self.current.clone()
    }
}

/// The materializations for which a segment asks whether a unit is in them, other than those of which the state itself
/// brings a bloom filter.
fn included(resolver: &ResolverState) -> BTreeSet<String> {
    let targetings = resolver.segments.values().filter_map(|segment| segment.targeting.as_ref());
    let criteria = targetings.flat_map(|targeting| targeting.criteria.values());
    let asked = criteria.filter_map(|criterion| match &criterion.criterion {
        Some(Criterion::MaterializedSegment(criterion)) => Some(criterion.materialized_segment.clone()),
        _ => None,
    });
    asked.filter(|name| !resolver.bloom_filters.contains_key(name)).collect()
}

/// FNV-1a, 64 bits: it tells versions of one trusted value apart, and is no defence against a forger.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Who this Worker is in what it reports: `SDK_ID_CLOUDFLARE_RESOLVER` and the version of this package.
pub fn sdk() -> Sdk {
    Sdk { sdk: Some(sdk::Sdk::Id(i32::from(SdkId::CloudflareResolver))), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Makes a resolver of what the Confidence CDN serves.
///
/// Bounds: protobuf's own. The bitsets inside are compressed, and inflate to what they say; whoever can write this
/// KV key decides what the Worker resolves anyway.
///
/// # Errors
/// [`StateError::Corrupt`].
pub fn parse(served: ServedState) -> Result<ResolverState, StateError> {
    let ServedState { state, account_id, .. } = served;
    let state = ResolverStatePb::decode(state).map_err(|_| StateError::Corrupt("the state inside does not decode"))?;
    // Membership tests take the remainder by the bit count and loop over the hash count: 0 panics, -1 never ends.
    let usable = |count: i64, most: i64| (1..=most).contains(&count);
    if !state
        .bloom_filters
        .iter()
        .all(|filter| usable(filter.bit_count, i64::MAX) && usable(i64::from(filter.hash_function_count), 1_000))
    {
        return Err(StateError::Corrupt("it holds an impossible bloom filter"));
    }
    let resolver = ResolverState::from_proto(state, &account_id, Some(sdk()))
        .map_err(|_| StateError::Corrupt("a bitset does not inflate"))?;
    if resolver.secrets.is_empty() {
        return Err(StateError::Corrupt("it holds no client credential"));
    }
    Ok(resolver)
}

#[cfg(test)]
mod tests;
