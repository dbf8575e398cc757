//! Where the values come from: files, or a namespace of the account.

use std::{io, path::PathBuf};

use sha2::{Digest as _, Sha256};

use super::{
    command::ImportError,
    peer::{KEYS, MAX_VALUE_BYTES, PeerTotals},
};
use crate::cloudflare::{client::Client, kv};

/// Where namespaces are read: Cloudflare's API.
pub trait Namespaces {
    /// The id of the namespace with this id or title.
    ///
    /// # Errors
    /// Why it was not found, and what to do.
    fn find(&self, id_or_title: &str) -> Result<String, String>;

    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// What went wrong.
    fn value(&self, namespace_id: &str, key: &str) -> Result<Option<Vec<u8>>, String>;
}

/// The namespaces of an account.
pub struct AccountNamespaces<'a> {
    /// The API.
    pub client: &'a Client,
    /// The account.
    pub account_id: &'a str,
}

impl Namespaces for AccountNamespaces<'_> {
    fn find(&self, id_or_title: &str) -> Result<String, String> {
        let all = kv::list(self.client, self.account_id).map_err(|error| error.to_string())?;
        let by = |name: fn(&kv::Namespace) -> &str| all.iter().find(|namespace| name(namespace) == id_or_title);
        match by(|namespace| &namespace.id).or_else(|| by(|namespace| &namespace.title)) {
            Some(namespace) => Ok(namespace.id.clone()),
            None => {
                let titles: Vec<&str> = all.iter().map(|namespace| namespace.title.as_str()).collect();
                Err(format!(
                    "{id_or_title} is no file and no KV namespace of the account, by id or title. There are: {}",
                    titles.join(", ")
                ))
            }
        }
    }

    fn value(&self, namespace_id: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        let namespace = kv::Namespace { id: namespace_id.to_owned(), title: namespace_id.to_owned() };
        kv::value(self.client, self.account_id, &namespace, key).map_err(|error| error.to_string())
    }
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Name of the source.
    pub source: String,
    /// Of the values: the beginning of their SHA-256.
    pub hash: String,
    /// What it holds, with the number of bytes.
    pub values: Vec<(String, usize)>,
    /// All of it.
    pub totals: PeerTotals,
}

/// Reads what `from` names: files, if the first of them is one, else a namespace.
///
/// # Errors
/// [`ImportError`]
pub fn find(from: &[String], namespaces: Option<&dyn Namespaces>) -> Result<Found, ImportError> {
    let first = from.first().ok_or_else(|| ImportError::Usage("FROM is missing".to_owned()))?;
    let is_file = |name: &String| PathBuf::from(name).is_file();
    if from.iter().any(is_file) {
        let read = |name: &String| Ok::<_, ImportError>((name.clone(), read_file(name)?));
        let values = from.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        return found(format!("file:{}", hash_of(&values)), values);
    }
    let namespaces = namespaces.filter(|_| from.len() == 1).ok_or_else(|| ImportError::File {
        path: first.into(),
        why: "there is no such file; a KV namespace is read with CLOUDFLARE_API_TOKEN, one at a time".to_owned(),
    })?;
    let id = namespaces.find(first).map_err(ImportError::Namespace)?;
    let mut values = Vec::new();
    for key in KEYS {
        if let Some(value) = namespaces.value(&id, key).map_err(ImportError::Namespace)? {
            values.push((key.to_owned(), value));
        }
    }
    if values.is_empty() {
        return Err(ImportError::NoValue(first.clone()));
    }
    found(format!("kv:{id}"), values)
}

fn hash_of(values: &[(String, Vec<u8>)]) -> String {
    let hash = values.iter().fold(Sha256::new(), |hash, (_, value)| hash.chain_update(Sha256::digest(value)));
    let hash: [u8; 32] = hash.finalize().into();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn read_file(name: &str) -> Result<Vec<u8>, ImportError> {
    use std::io::Read as _;
    let wrong = |error: io::Error| ImportError::File { path: name.into(), why: error.to_string() };
    // One byte more than is taken, so that a longer one is known to be.
    let most = u64::try_from(MAX_VALUE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut value = Vec::new();
    std::fs::File::open(name).and_then(|file| file.take(most).read_to_end(&mut value)).map_err(wrong)?;
    Ok(value)
}

fn found(source: String, values: Vec<(String, Vec<u8>)>) -> Result<Found, ImportError> {
    let mut totals = PeerTotals::default();
    for (name, value) in &values {
        let read =
            PeerTotals::read(value).map_err(|error| ImportError::Value { from: format!("{source}, {name}"), error })?;
        totals = totals.merge(&read).map_err(ImportError::Sum)?;
    }
    if totals.is_empty() {
        return Err(ImportError::Empty(source));
    }
    let hash = hash_of(&values);
    Ok(Found { source, hash, values: values.into_iter().map(|(name, value)| (name, value.len())).collect(), totals })
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
