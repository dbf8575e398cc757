//! What this isolate assigned a moment ago.
//!
//! KV caches also that there is nothing: for [`RECENT_MS`] after an assignment a read may still say so. Without this memory
//! the next resolve in the same isolate would assign anew, by a targeting that may have changed, and write that. It also
//! keeps concurrent resolves from writing one record twice, of which KV refuses the second within a second.

use std::collections::HashMap;

use crate::limits::{MAX_RECENT, RECENT_MS};

/// Records by key, in two halves: the older is forgotten as a whole.
#[derive(Debug, Default)]
pub struct Recent {
    young: HashMap<String, Entry>,
    old: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    value: String,
    at_ms: u64,
}

impl Recent {
    /// The value that was assigned under `key` within [`RECENT_MS`].
    pub fn get(&self, key: &str, now_ms: u64) -> Option<&str> {
        let entry = self.young.get(key).or_else(|| self.old.get(key))?;
        (now_ms.saturating_sub(entry.at_ms) < RECENT_MS).then_some(entry.value.as_str())
    }

    /// Remembers an assignment. Past [`MAX_RECENT`] the older half is forgotten; then KV is asked, as it would be by any
    /// other isolate.
    pub fn insert(&mut self, key: &str, value: &str, now_ms: u64) {
        if self.young.len() >= MAX_RECENT / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.to_owned(), Entry { value: value.to_owned(), at_ms: now_ms });
    }

    /// Forgets an assignment that was not stored, if it is still this one: the next resolve is to try again.
    pub fn forget(&mut self, key: &str, value: &str) {
        for half in [&mut self.young, &mut self.old] {
            if half.get(key).is_some_and(|entry| entry.value == value) {
                half.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_known_for_a_minute_and_the_latest_counts() {
        let mut recent = Recent::default();
        recent.insert("k", "a", 1_000);
        assert_eq!(recent.get("k", 1_000 + RECENT_MS - 1), Some("a"));
        assert_eq!(recent.get("k", 1_000 + RECENT_MS), None);
        assert_eq!(recent.get("other", 1_000), None);
        recent.insert("k", "b", 2_000);
        assert_eq!(recent.get("k", 2_000), Some("b"));
        // Of another assignment meanwhile nothing is forgotten.
        recent.forget("k", "a");
        assert_eq!(recent.get("k", 2_000), Some("b"));
        recent.forget("k", "b");
        assert_eq!(recent.get("k", 2_000), None);
    }

    #[test]
    fn it_does_not_grow_past_its_bound_and_keeps_the_younger_half() {
        let mut recent = Recent::default();
        for n in 0..10 * MAX_RECENT {
            recent.insert(&n.to_string(), "v", 0);
            assert!(recent.young.len() + recent.old.len() <= MAX_RECENT);
        }
        let last = 10 * MAX_RECENT - 1;
        for n in last - MAX_RECENT / 2..=last {
            assert_eq!(recent.get(&n.to_string(), 0), Some("v"), "{n}");
        }
        assert_eq!(recent.get("0", 0), None);
    }
}
