//! Names of one installation in an account that may hold several.

use crate::limits::MAX_PREFIX_BYTES;

/// Makes the names of an installation out of those in `wrangler/*.toml`.
///
/// Two prefixes never give one name: what follows the prefix is `-tributary-` and a word without `tributary` in it, so
/// the last `tributary` of a name tells where its prefix ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names with `prefix`, which is 1 to 32 of a-z, 0-9 and single hyphens within, or empty. `None` for another one.
    #[must_use]
    pub fn new(prefix: &str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_fit = prefix.len() <= MAX_PREFIX_BYTES
            && prefix.bytes().all(is_word)
            && !prefix.starts_with('-')
            && !prefix.ends_with('-')
            && !prefix.contains("--");
        is_fit.then(|| Self { prefix: prefix.to_owned() })
    }

    /// The name here of what `wrangler/*.toml` calls `base`.
    #[must_use]
    pub fn of(&self, base: &str) -> String {
        if self.prefix.is_empty() { base.to_owned() } else { format!("{}-{base}", self.prefix) }
    }

    /// Title of the KV namespace whose id is the placeholder `placeholder` in `wrangler/*.toml`.
    #[must_use]
    pub fn namespace(&self, placeholder: &str) -> String {
        self.of(&format!("tributary-{placeholder}"))
    }

    /// What this installation is called: `tributary`, or `<prefix>-tributary`.
    #[must_use]
    pub fn installation(&self) -> String {
        self.of("tributary")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_prefix_names_are_those_of_the_files() {
        let names = Names::new("").unwrap();
        assert_eq!(names.of("tributary-deltas"), "tributary-deltas");
        assert_eq!(names.namespace("confidence-state"), "tributary-confidence-state");
        assert_eq!(names.installation(), "tributary");
        let names = Names::new("eu-1").unwrap();
        assert_eq!(names.of("tributary-producer"), "eu-1-tributary-producer");
        assert_eq!(names.namespace("confidence-state"), "eu-1-tributary-confidence-state");
    }

    #[test]
    fn prefixes_that_are_no_part_of_a_host_name_are_refused() {
        for bad in ["-a", "a-", "a--b", "A", "a_b", "ä", "a.b", "a b", &"a".repeat(33)] {
            assert_eq!(Names::new(bad), None, "{bad}");
        }
        let longest = Names::new(&"a".repeat(32)).unwrap();
        assert!(longest.of("tributary-deltas-dead-100").len() <= 63);
    }

    proptest! {
        #[test]
        fn two_prefixes_never_share_a_name(a in "([a-z0-9]{1,3}(-tributary)?(-[a-z0-9]{1,2})?)?", b in "([a-z0-9]{1,3}(-tributary)?(-deltas)?)?") {
            let (Some(a), Some(b)) = (Names::new(&a), Names::new(&b)) else { return Ok(()) };
            let bases = ["tributary-producer", "tributary-consumer", "tributary-deltas", "tributary-deltas-1", "tributary-deltas-dead"];
            for one in bases {
                for other in bases {
                    prop_assert_eq!(a.of(one) == b.of(other), a == b && one == other);
                }
            }
        }
    }
}
