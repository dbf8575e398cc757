//! The cipher of the Workers runtime, `crypto.subtle`.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

use crate::sealed::{Cipher, NONCE_BYTES, StateKey, TAG_BYTES};

/// AES-256-GCM of the platform.
#[derive(Clone, Copy, Debug)]
pub struct PlatformCipher;

impl Cipher for PlatformCipher {
    async fn decrypt(&self, key: &StateKey, nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        // What the platform throws names neither text nor key, and says no more than that it does not fit.
        decrypt(key, nonce, sealed).await.ok()
    }
}

async fn decrypt(key: &StateKey, nonce: &[u8], sealed: &[u8]) -> Result<Vec<u8>, JsValue> {
    let uses = Array::of1(&"decrypt".into());
    let raw = Uint8Array::from(key.expose().as_slice());
    let key = JsFuture::from(import_key("raw", &raw, "AES-GCM", false, &uses)?).await?;
    let parameters = Object::new();
    let tag_bits = u32::try_from(TAG_BYTES).unwrap_or(0).saturating_mul(8);
    Reflect::set(&parameters, &"name".into(), &"AES-GCM".into())?;
    Reflect::set(&parameters, &"iv".into(), &Uint8Array::from(nonce))?;
    Reflect::set(&parameters, &"tagLength".into(), &tag_bits.into())?;
    let plain = JsFuture::from(decrypt_with(&parameters, &key, &Uint8Array::from(sealed))?).await?;
    Ok(Uint8Array::new(&plain).to_vec())
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    fn import_key(
        format: &str,
        key: &Uint8Array,
        algorithm: &str,
        extractable: bool,
        uses: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = decrypt)]
    fn decrypt_with(parameters: &Object, key: &JsValue, sealed: &Uint8Array) -> Result<Promise, JsValue>;
}
