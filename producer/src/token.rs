//! Resolve tokens: AES-128 in CBC mode with PKCS #7 padding, then authenticated.
//!
//! Format: a random vector (16 bytes), the encrypted blocks, and the first 16 bytes of HMAC-SHA-256 over all of that
//! (RFC 2104, its key derived from the encryption key). Only this Worker makes and reads its tokens, to everybody else
//! they are opaque, so the format is ours to choose.
//!
//! Why not the resolver crate's own functions (0.26.1):
//! - They pass the vector as the cipher's key and the key as its vector. The vector travels in the token, and the first
//!   block of the plain text is known to the client (it holds the resolve id of the response), so one token gives the
//!   encryption key away. A test below pins that, to be dropped when it fails.
//! - Their unpadding cuts off as many bytes as the last one says, also when the block has fewer: a panic that a client
//!   can cause.
//! - Without authentication a client can change what it applies.
//!
//! A token made by another resolver is therefore refused here: an apply in flight while traffic moves from one to the
//! other gets a 400.

use aes::Aes128;
use aes::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes of a block, of the key, of the vector and of the authentication.
const BLOCK: usize = 16;

/// Keeps the key of the authentication apart from everything else that is derived from the encryption key.
const AUTHENTICATION_LABEL: &[u8] = b"tributary resolve token authentication 1";

/// Why a token was not made or not read. Says nothing about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The key is not 16 bytes.
    #[error("the key is not 16 bytes")]
    Key,
    /// Not a token of this key.
    #[error("not a valid token")]
    Token,
}

/// Encrypts `plain` under `key` (16 bytes) with the vector `iv`, which must be unpredictable and used once.
///
/// # Errors
/// [`TokenError::Key`].
pub fn encrypt(plain: &[u8], key: &[u8], iv: [u8; BLOCK]) -> Result<Vec<u8>, TokenError> {
    let cipher = Aes128::new_from_slice(key).map_err(|_| TokenError::Key)?;
    let padding = BLOCK - plain.len() % BLOCK;
    let mut padded = Vec::with_capacity(plain.len().saturating_add(BLOCK));
    padded.extend_from_slice(plain);
    // `padding` is 1 to 16.
    padded.resize(plain.len().saturating_add(padding), u8::try_from(padding).unwrap_or(0));

    let mut out = Vec::with_capacity(padded.len().saturating_add(2 * BLOCK));
    out.extend_from_slice(&iv);
    let mut chain = iv;
    for chunk in padded.chunks_exact(BLOCK) {
        for (byte, plain) in chain.iter_mut().zip(chunk) {
            *byte ^= plain;
        }
        let mut block = Block::<Aes128>::from(chain);
        cipher.encrypt_block(&mut block);
        chain = block.into();
        out.extend_from_slice(&chain);
    }
    let tag = authentication(&out, key);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Decrypts a token.
///
/// # Errors
/// [`TokenError::Key`]; [`TokenError::Token`] for everything that [`encrypt`] did not make under this key.
pub fn decrypt(token: &[u8], key: &[u8]) -> Result<Vec<u8>, TokenError> {
    let cipher = Aes128::new_from_slice(key).map_err(|_| TokenError::Key)?;
    let (authenticated, tag) = token.split_last_chunk::<BLOCK>().ok_or(TokenError::Token)?;
    if !bool::from(authentication(authenticated, key).ct_eq(tag)) {
        return Err(TokenError::Token);
    }
    let (blocks, rest) = authenticated.as_chunks::<BLOCK>();
    let Some((iv, blocks)) = blocks.split_first() else { return Err(TokenError::Token) };
    if !rest.is_empty() || blocks.is_empty() {
        return Err(TokenError::Token);
    }
    let mut out = Vec::with_capacity(token.len());
    let mut chain = iv;
    for encrypted in blocks {
        let mut block = Block::<Aes128>::from(*encrypted);
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(chain).map(|(byte, chained)| byte ^ chained));
        chain = encrypted;
    }
    unpad(&mut out)?;
    Ok(out)
}

fn unpad(out: &mut Vec<u8>) -> Result<(), TokenError> {
    let last = out.last().copied().ok_or(TokenError::Token)?;
    let padding = usize::from(last);
    if padding == 0 || padding > BLOCK {
        return Err(TokenError::Token);
    }
    let kept = out.len().checked_sub(padding).ok_or(TokenError::Token)?;
    if !out.iter().skip(kept).all(|byte| *byte == last) {
        return Err(TokenError::Token);
    }
    out.truncate(kept);
    Ok(())
}

/// The first 16 bytes of HMAC-SHA-256 (RFC 2104) of `message`.
fn authentication(message: &[u8], key: &[u8]) -> [u8; BLOCK] {
    let derived = Sha256::new().chain_update(AUTHENTICATION_LABEL).chain_update(key).finalize();
    let tag = hmac_sha256(&derived, message);
    tag.first_chunk().copied().unwrap_or_default()
}

/// HMAC-SHA-256; `key` at most the 64 bytes of SHA-256's block, further ones are ignored.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use confidence_resolver::Host as _;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::PlainHost;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn the_cipher_is_aes_128_cbc() {
        // NIST SP 800-38A, F.2.1, first block.
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let plain = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
        let token = encrypt(&plain, &key, iv).unwrap();
        assert_eq!(token[..16], iv);
        assert_eq!(token[16..32], 0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128.to_be_bytes());
    }

    #[test]
    fn the_authentication_is_hmac_sha_256() {
        // RFC 4231, test case 2.
        let hex: String =
            hmac_sha256(b"Jefe", b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    /// Why this module exists. When this fails, the resolver crate has changed its tokens: look again.
    #[test]
    fn the_resolver_crates_own_token_gives_its_key_away() {
        let known = *b"sixteen bytes of";
        let token = PlainHost::encrypt_resolve_token(&known, &KEY).unwrap();
        let mut block = Block::<Aes128>::try_from(&token[16..32]).unwrap();
        Aes128::new_from_slice(&token[..16]).unwrap().decrypt_block(&mut block);
        let leaked: Vec<u8> = block.iter().zip(known).map(|(byte, known)| byte ^ known).collect();
        assert_eq!(leaked, KEY);
    }

    #[test]
    fn a_key_of_another_length_is_an_error() {
        for key in [&b""[..], b"short", &[0; 32]] {
            assert_eq!(encrypt(b"x", key, [0; 16]), Err(TokenError::Key));
            assert_eq!(decrypt(&[0; 32], key), Err(TokenError::Key));
        }
    }

    #[test]
    fn impossible_padding_is_refused() {
        for bytes in [vec![], vec![0; 16], vec![17; 16], vec![255; 16], vec![3; 2], vec![1, 2, 3, 3]] {
            assert_eq!(unpad(&mut bytes.clone()), Err(TokenError::Token), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_read_by_whoever_made_it(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            iv in any::<[u8; 16]>(),
            key in any::<[u8; 16]>(),
        ) {
            let token = encrypt(&plain, &key, iv).unwrap();
            prop_assert_eq!(&decrypt(&token, &key).unwrap(), &plain);
            let mut other = key;
            other[0] ^= 1;
            prop_assert_eq!(decrypt(&token, &other), Err(TokenError::Token));
        }

        #[test]
        fn one_changed_bit_or_a_cut_makes_it_invalid(plain in proptest::collection::vec(any::<u8>(), 0..60), at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let token = encrypt(&plain, &KEY, [9; 16]).unwrap();
            let at = at.index(token.len());
            prop_assert_eq!(decrypt(&token[..at], &KEY), Err(TokenError::Token));
            let mut forged = token;
            forged[at] ^= 1 << bit;
            prop_assert_eq!(decrypt(&forged, &KEY), Err(TokenError::Token));
        }

        #[test]
        fn no_bytes_panic(token in proptest::collection::vec(any::<u8>(), 0..100), key in any::<[u8; 16]>()) {
            prop_assert_eq!(decrypt(&token, &key), Err(TokenError::Token));
        }
    }
}
