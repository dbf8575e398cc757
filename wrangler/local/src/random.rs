//! Random bytes for local secrets and random users for demo traffic.

use std::fmt::Write as _;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct RandomError(String);

/// Draws `N` bytes from the operating system.
///
/// # Errors
/// [`RandomError`] where the system has no source of randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut drawn = [0; N];
    getrandom::fill(&mut drawn).map_err(|error| RandomError(error.to_string()))?;
    Ok(drawn)
}

/// Prints bytes as lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail; `write!` still returns a Result.
        if write!(text, "{byte:02x}").is_err() {
            text.clear();
        }
        text
    })
}

/// A small generator for demo users (SplitMix64, Steele et al. 2014): fast, seedable, not for secrets.
#[derive(Debug, Clone)]
pub struct DemoRandom(u64);

impl DemoRandom {
    /// A generator that repeats its numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits; every value of `u64` is possible. Arithmetic wraps on purpose.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, bound)`; 0 where `bound` is 0. The bias of the modulo does not matter for a demo.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// One of `choices`, or `None` where there are none.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(choices.len()).ok()?;
        choices.get(usize::try_from(self.below(count)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 1, 255]), "0001ff");
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
    }

    #[test]
    fn a_choice_is_one_of_the_choices() {
        let mut random = DemoRandom::seeded(1);
        let seen: std::collections::BTreeSet<_> = (0..100).filter_map(|_| random.choose(&[1, 2, 3])).collect();
        assert_eq!(seen.len(), 3);
        assert_eq!(random.choose::<u8>(&[]), None);
        assert_eq!(random.below(0), 0);
    }
}
