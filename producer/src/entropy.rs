//! Randomness: the runtime's `crypto.getRandomValues`. A Worker has none in global scope, so it is drawn lazily, in a
//! handler.

/// The runtime gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runtime gave no randomness")]
pub struct EntropyError;

/// Draws `N` random bytes.
///
/// # Errors
/// [`EntropyError`].
pub fn bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EntropyError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ() {
        assert_ne!(super::bytes::<16>(), super::bytes::<16>());
    }
}
