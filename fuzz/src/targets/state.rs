//! The resolver state in KV.
//!
//! Input: the bytes that the Confidence CDN would serve.

use tributary_producer::state::{Fetched, StateCache};

use crate::fixture::resolver;

/// Any bytes parse or are refused, and a cache that holds a state keeps it.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    match resolver(data.to_vec()) {
        Ok(state) => assert!(!state.secrets.is_empty(), "a state without clients"),
        Err(error) => {
            let mut cache = StateCache::default();
            let good = crate::fixture::state_bytes();
            let loaded =
                cache.finish(1, Fetched { bytes: good, metadata: None }.into_plain()).expect("the fixture parses");
            let refused = cache.finish(2, Fetched { bytes: data.to_vec(), metadata: None }.into_plain());
            assert_eq!(refused.err(), Some(error));
            let kept = cache.current().expect("a refresh that failed takes nothing away");
            assert_eq!(kept.etag, loaded.etag);
        }
    }
}
