//! The consumer's side of the Ledger: calls to the Durable Object.

use js_sys::Uint8Array;
use tributary_proto::{Message as _, v1::CommitResponse};
use worker::{Env, Method, Request, RequestInit, Stub};

use super::runtime::within;
use crate::{
    config::{LEDGER, LEDGER_NAME},
    limits::LEDGER_TIMEOUT,
    pipeline::{LedgerFailure, LedgerPort},
};

/// Path of a commit.
pub(crate) const COMMIT_PATH: &str = "/commit";
/// Path of the encoded state.
pub(crate) const STATE_PATH: &str = "/state";
/// A Durable Object is addressed by its stub; the host of the URL means nothing.
const ORIGIN: &str = "https://ledger";

/// The Ledger of this installation.
pub(crate) struct Ledger<'a> {
    env: &'a Env,
}

impl<'a> Ledger<'a> {
    /// The Ledger bound in `env`.
    pub(crate) fn new(env: &'a Env) -> Self {
        Self { env }
    }

    /// The encoded cumulative state, as it is now.
    ///
    /// # Errors
    /// [`LedgerFailure`]
    pub(crate) async fn state(&self) -> Result<Vec<u8>, LedgerFailure> {
        self.call(Method::Get, STATE_PATH, None).await
    }

    /// A new stub: one that threw is not used again.
    fn stub(&self) -> worker::Result<Stub> {
        self.env.durable_object(LEDGER)?.get_by_name(LEDGER_NAME)
    }

    /// One call; the body of its answer.
    ///
    /// # Errors
    /// [`LedgerFailure`]
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, LedgerFailure> {
        let exchange = async {
            let mut init = RequestInit::new();
            init.with_method(method).with_body(body.map(|bytes| Uint8Array::from(bytes.as_slice()).into()));
            let request = Request::new_with_init(&format!("{ORIGIN}{path}"), &init)?;
            let mut response = self.stub()?.fetch_with_request(request).await?;
            let bytes = response.bytes().await?;
            Ok::<_, worker::Error>((response.status_code(), bytes))
        };
        // A Durable Object that panics gives no answer at all.
        match within(LEDGER_TIMEOUT, exchange).await {
            Some(Ok((200, bytes))) => Ok(bytes),
            Some(Ok((status, bytes))) => {
                Err(LedgerFailure(format!("status {status}: {}", String::from_utf8_lossy(&bytes))))
            }
            Some(Err(error)) => Err(LedgerFailure(error.to_string())),
            None => Err(LedgerFailure(format!("no answer within {LEDGER_TIMEOUT:?}"))),
        }
    }
}

impl LedgerPort for Ledger<'_> {
    async fn commit(&self, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        let bytes = self.call(Method::Post, COMMIT_PATH, Some(request.to_vec())).await?;
        CommitResponse::decode(bytes.as_slice()).map_err(|error| LedgerFailure(format!("an answer that {error}")))
    }
}
