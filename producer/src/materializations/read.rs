//! The records that a suspended resolve asks for.

use std::cell::RefCell;

use confidence_resolver::proto::confidence::flags::resolver::v1::MaterializationRecord;
use futures::future::try_join_all;

use super::key::{found, key_of};
use super::recent::Recent;
use super::{Seen, Store, within};
use crate::limits::{MAX_BULK_KEYS, MAX_READ_RECORDS, READ_TIMEOUT_MS};

/// What one resolve was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Those that there are; the others are absent for certain.
    pub found: Vec<MaterializationRecord>,
    /// What each key that was looked at has, for the writes that may follow.
    pub seen: Seen,
}

/// Why a resolve was given none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// More than [`MAX_READ_RECORDS`].
    #[error("a resolve needs {0} records, and at most {MAX_READ_RECORDS} are read for one")]
    TooMany(usize),
    /// KV failed twice.
    #[error("KV failed: {0}")]
    Failed(String),
    /// KV did not answer.
    #[error("KV did not answer within {READ_TIMEOUT_MS} ms")]
    Timeout,
}

/// Reads all of `asked`: from the isolate's own memory or from KV, in calls of [`MAX_BULK_KEYS`] keys side by side, each
/// tried twice.
///
/// # Errors
/// [`ReadError`]: not all of them could be read. A part is of no use, for what is not known would count as absent.
pub async fn read(
    store: &impl Store,
    recent: &RefCell<Recent>,
    asked: &[MaterializationRecord],
) -> Result<Records, ReadError> {
    if asked.len() > MAX_READ_RECORDS {
        return Err(ReadError::TooMany(asked.len()));
    }
    let keys: Vec<String> = asked.iter().map(key_of).collect();
    let now_ms = store.now_ms();
    let mut seen = Seen::new();
    let mut unknown: Vec<String> = Vec::new();
    for key in &keys {
        match recent.borrow().get(key, now_ms) {
            Some(value) => drop(seen.insert(key.clone(), Some(value.to_owned()))),
            None => unknown.push(key.clone()),
        }
    }
    let stored = within(store, READ_TIMEOUT_MS, look_up(store, &unknown)).await;
    seen.extend(stored.ok_or(ReadError::Timeout)?.map_err(ReadError::Failed)?);
    let found = asked.iter().zip(&keys).filter_map(|(asked, key)| Some(found(asked, seen.get(key)?.as_deref()?)));
    let found = found.collect();
    Ok(Records { found, seen })
}

/// The values of all keys.
pub(super) async fn look_up(store: &impl Store, keys: &[String]) -> Result<Seen, String> {
    let parts = keys.chunks(MAX_BULK_KEYS).map(|keys| async move {
        let values = match store.get(keys).await {
            Ok(values) => values,
            Err(_) => store.get(keys).await?,
        };
        Ok::<_, String>(keys.iter().map(move |key| (key.clone(), values.get(key).cloned().flatten())))
    });
    Ok(try_join_all(parts).await?.into_iter().flatten().collect())
}
