//! Where the CDN has the state of a client.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::sealed::ADDRESS_SUFFIX;

/// The Confidence CDN.
pub const CDN_URL: &str = "https://confidence-resolver-state-cdn.spotifycdn.com";

/// The address of a client's state: `<base_url>/<SHA-256 of the client secret, in hex>`.
///
/// Whoever knows it can read the state, so it is to be kept as the secret is: never in a log.
pub fn state_url(base_url: &str, client_secret: &str) -> String {
    format!("{}/{}", base_url.trim_end_matches('/'), hex(&Sha256::digest(client_secret.as_bytes())))
}

/// The address under which the CDN serves the same state encrypted.
pub fn sealed_state_url(base_url: &str, client_secret: &str) -> String {
    state_url(base_url, client_secret) + ADDRESS_SUFFIX
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing into a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_digest_of_the_secret() {
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(state_url(CDN_URL, "abc"), format!("{CDN_URL}/{digest}"));
        assert_eq!(sealed_state_url(CDN_URL, "abc"), format!("{CDN_URL}/{digest}.enc"));
        assert_eq!(state_url("http://127.0.0.1:1/", "abc"), format!("http://127.0.0.1:1/{digest}"));
    }
}
