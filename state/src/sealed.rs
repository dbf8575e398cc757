//! Encrypted states: AES-256 in Galois/Counter Mode (NIST SP 800-38D) without additional data, as the Confidence CDN serves
//! them where a client's address ends in `.enc`. The bytes are `nonce (12) | ciphertext | tag (16)`.
//!
//! The cipher is a port. In the Workers it is the platform's own (module `platform`): it adds nothing to their size, where
//! one in Rust weighs some 20 kB in each, and takes about a millisecond for a state of 240 kB, where that one took 4 to 12 in
//! wasm, which every cold isolate would pay (and the free plan gives a request 10). Tools and tests have the one in Rust.

use std::fmt;

use bytes::Bytes;

use crate::wrapper::{ServedState, StateError};

/// Name of the secret that holds the key, in both Workers.
pub const KEY_VARIABLE: &str = "STATE_ENCRYPTION_KEY";

/// What is appended to the address of a state that is served encrypted.
pub const ADDRESS_SUFFIX: &str = ".enc";

/// Bytes of the nonce, which stands before the encrypted text.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the authentication, which stands behind it.
pub const TAG_BYTES: usize = 16;

/// The key of a client credential's states. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct StateKey([u8; 32]);

/// A text that is no key. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the 64 hexadecimal digits of a key of 32 bytes")]
pub struct KeyError;

impl StateKey {
    /// Reads a key as Confidence shows it: 64 hexadecimal digits in either case, and nothing around them.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        match bytes.map(<[u8; 32]>::try_from) {
            Some(Ok(key)) if rest.is_empty() => Ok(Self(key)),
            _ => Err(KeyError),
        }
    }
}

impl StateKey {
    /// The key itself, for a cipher. Whoever calls this must not log or echo it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(…)")
    }
}

/// AES-256-GCM without additional data.
pub trait Cipher {
    /// Decrypts `sealed`, the encrypted text and behind it its tag; `None` where the tag is not that of text and key.
    fn decrypt(
        &self,
        key: &StateKey,
        nonce: &[u8; NONCE_BYTES],
        sealed: &[u8],
    ) -> impl Future<Output = Option<Vec<u8>>>;
}

/// Reads a state as KV holds it: plain, or encrypted under `key`.
///
/// A plain one is taken with a key as well, so that a key can be set in one Worker after the other. That gives nothing
/// away: whoever can write this KV key decides what is resolved, with and without encryption.
///
/// # Errors
/// [`StateError`]; [`StateError::Sealed`] where it is neither.
pub async fn open(bytes: Vec<u8>, key: Option<&StateKey>, cipher: &impl Cipher) -> Result<ServedState, StateError> {
    let bytes = Bytes::from(bytes);
    match (ServedState::decode(bytes.clone()), key) {
        (Err(_), Some(key)) => open_sealed(&bytes, key, cipher).await,
        (plain, _) => plain,
    }
}

/// Reads a state that must be encrypted under `key`.
///
/// # Errors
/// [`StateError`]; [`StateError::Sealed`] where the key is another one or the bytes are not what was encrypted.
pub async fn open_sealed(bytes: &[u8], key: &StateKey, cipher: &impl Cipher) -> Result<ServedState, StateError> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(StateError::Sealed)?;
    if sealed.len() < TAG_BYTES {
        return Err(StateError::Sealed);
    }
    let plain = cipher.decrypt(key, nonce, sealed).await.ok_or(StateError::Sealed)?;
    ServedState::decode(plain.into())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::native::{NativeCipher, seal};
    use crate::wrapper::tests::{STATE, wrapped};

    const NONCE: [u8; 12] = [7; 12];

    fn open(bytes: Vec<u8>, key: Option<&StateKey>) -> Result<ServedState, StateError> {
        block_on(super::open(bytes, key, &NativeCipher))
    }

    fn open_sealed(bytes: Vec<u8>, key: &StateKey) -> Result<ServedState, StateError> {
        block_on(super::open_sealed(&bytes, key, &NativeCipher))
    }

    fn key(byte: u8) -> StateKey {
        StateKey([byte; 32])
    }

    fn sealed() -> Vec<u8> {
        seal(&wrapped(STATE), &key(1), NONCE)
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits_and_shows_in_no_text() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let key = StateKey::parse(text).unwrap();
        assert_eq!(key.0, std::array::from_fn(|n| u8::try_from(n).unwrap()));
        assert!(!format!("{key:?}").contains('1'));
        let short = &text[..62];
        let (padded, long, foreign) = (format!(" {text}"), format!("{text}00"), format!("{short}0g"));
        for bad in ["", short, &text[..63], &padded, &long, &foreign, &format!("{short}\u{e9}")] {
            assert_eq!(StateKey::parse(bad), Err(KeyError), "{bad}");
        }
    }

    #[test]
    fn an_encrypted_state_opens_with_its_key_alone() {
        let plain = ServedState::decode(wrapped(STATE).into()).unwrap();
        assert_eq!(open(sealed(), Some(&key(1))), Ok(plain.clone()));
        assert_eq!(open_sealed(sealed(), &key(1)), Ok(plain));
        assert_eq!(open(sealed(), Some(&key(2))), Err(StateError::Sealed));
        assert!(open(sealed(), None).is_err());
    }

    #[test]
    fn a_plain_state_is_taken_from_kv_with_a_key_and_from_the_cdn_is_not() {
        assert!(open(wrapped(STATE), Some(&key(1))).is_ok());
        assert!(open(wrapped(STATE), None).is_ok());
        assert_eq!(open_sealed(wrapped(STATE), &key(1)), Err(StateError::Sealed));
    }

    #[test]
    fn what_was_encrypted_must_be_a_state() {
        for (plain, error) in [(&b"<html>"[..], StateError::Wrapper), (b"", StateError::Empty)] {
            let sealed = seal(plain, &key(1), NONCE);
            assert_eq!(open_sealed(sealed, &key(1)), Err(error));
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = sealed();
        for end in 0..whole.len() {
            assert_eq!(open_sealed(whole[..end].to_vec(), &key(1)), Err(StateError::Sealed), "cut at {end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(altered, Some(&key(1))).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_open_or_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(bytes.clone(), Some(&key(1))).is_err() || open(bytes, None).is_ok());
        }
    }
}
