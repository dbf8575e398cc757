//! Faults on order: which request fails, and how.

use serde::Deserialize;

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is answered with this status, in Cloudflare's envelope, and nothing is done.
    Status {
        /// The status.
        status: u16,
        /// Seconds for a `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The connection is reset, and nothing is done.
    Reset,
    /// Nothing is done or said for this many milliseconds; then the connection is reset.
    Hang {
        /// How long.
        millis: u64,
    },
    /// It is done, but only after this many milliseconds.
    Slow {
        /// How long.
        millis: u64,
    },
    /// It is done, and the connection is reset instead of the answer.
    LoseAnswer,
}

/// A rule: which requests fail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method; all methods without one.
    #[serde(default)]
    pub method: Option<String>,
    /// The path below `/client/v4`; `*` stands for any number of characters, slashes too.
    pub path: String,
    /// The first of the matching requests that fails, from 1.
    #[serde(default = "first")]
    pub nth: u32,
    /// How many fail from there on; all without it.
    #[serde(default)]
    pub times: Option<u32>,
    /// How they fail.
    pub effect: Effect,
}

fn first() -> u32 {
    1
}

impl Fault {
    /// The first request of `method` to `path` fails, once.
    #[must_use]
    pub fn once(method: &str, path: &str, effect: Effect) -> Self {
        Self { method: Some(method.to_owned()), path: path.to_owned(), nth: 1, times: Some(1), effect }
    }

    /// Every request of `method` to `path` fails.
    #[must_use]
    pub fn always(method: &str, path: &str, effect: Effect) -> Self {
        Self { times: None, ..Self::once(method, path, effect) }
    }

    /// The same, but the first that fails is the `nth` (from 1).
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { nth, ..self }
    }

    /// The same, but so many fail.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method)) && glob(&self.path, path)
    }
}

/// Whether `text` fits `pattern`, where `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// The rules in effect.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, u32)>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What becomes of a request. Every rule that it fits counts it; the first that is due decides.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<Effect> {
        let mut effect = None;
        for (fault, seen) in self.0.iter_mut().filter(|(fault, _)| fault.matches(method, path)) {
            *seen = seen.saturating_add(1);
            let past = seen.checked_sub(fault.nth.max(1));
            let is_due = past.is_some_and(|past| fault.times.is_none_or(|times| past < times));
            if is_due && effect.is_none() {
                effect = Some(fault.effect.clone());
            }
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_whole_paths() {
        assert!(glob("/a/*/c", "/a/b/b/c") && glob("*", "") && glob("/a", "/a") && glob("*/q*s", "/x/qss"));
        assert!(!glob("/a", "/a/b") && !glob("/a/*/c", "/a/c") && !glob("*b", "/a") && !glob("", "/"));
        // The end is not taken from what a part in the middle has already used.
        assert!(!glob("/a*b*b", "/ab"));
    }

    #[test]
    fn rules_count_what_they_match() {
        let mut faults = Faults::default();
        faults.add(Fault::once("PUT", "/x", Effect::Reset).nth(2).times(2));
        faults.add(Fault::always("GET", "*", Effect::LoseAnswer));
        let struck: Vec<bool> = (0..5).map(|_| faults.strike("PUT", "/x").is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(faults.strike("POST", "/x"), None);
        assert_eq!(faults.strike("GET", "/y"), Some(Effect::LoseAnswer));
    }

    #[test]
    fn rules_are_read_as_json() {
        let json =
            r#"{"method": "PUT", "path": "*", "times": 1, "effect": {"status": {"status": 429, "retry_after": 2}}}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        assert_eq!(fault, Fault::once("PUT", "*", Effect::Status { status: 429, retry_after: Some(2) }));
        assert!(serde_json::from_str::<Fault>(r#"{"path": "*", "effect": "reset", "oops": 1}"#).is_err());
    }
}
