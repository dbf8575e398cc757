//! The cipher in Rust, for tools and tests.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use crate::sealed::{Cipher, NONCE_BYTES, StateKey, TAG_BYTES};

/// AES-256-GCM of the RustCrypto project.
#[derive(Clone, Copy, Debug)]
pub struct NativeCipher;

impl Cipher for NativeCipher {
    async fn decrypt(&self, key: &StateKey, nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let mut text = text.to_vec();
        let cipher = Aes256Gcm::new(key.expose().into());
        let decrypted =
            cipher.decrypt_inout_detached(&Nonce::from(*nonce), b"", text.as_mut_slice().into(), &Tag::from(*tag));
        decrypted.is_ok().then_some(text)
    }
}

/// Encrypts as the CDN does. A `nonce` must not be used twice under a key.
///
/// # Panics
/// For more than 64 GiB.
pub fn seal(plain: &[u8], key: &StateKey, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
    let mut text = plain.to_vec();
    let cipher = Aes256Gcm::new(key.expose().into());
    #[expect(clippy::expect_used, reason = "not in a Worker, and not with what fits a memory")]
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), b"", text.as_mut_slice().into())
        .expect("a text of at most 64 GiB");
    [&nonce[..], &text, &tag].concat()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn the_cipher_is_aes_256_gcm_and_the_layout_is_nonce_text_tag() {
        // McGrew and Viega, The Galois/Counter Mode of Operation, test case 15.
        let key = StateKey::parse(&"feffe9928665731c6d6a8f9467308308".repeat(2)).unwrap();
        let nonce: [u8; 12] = bytes("cafebabefacedbaddecaf888").try_into().unwrap();
        let text = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                    8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
        let tag = "b094dac5d93471bdec1a502270e3cc6c";
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
        let sealed = bytes(&format!("{text}{tag}"));
        assert_eq!(block_on(NativeCipher.decrypt(&key, &nonce, &sealed)).unwrap(), bytes(plain));
        assert_eq!(seal(&bytes(plain), &key, nonce), [&nonce[..], &sealed].concat());
    }
}
