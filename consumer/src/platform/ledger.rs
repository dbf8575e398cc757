//! The consumer's side of the Ledger: calls to the Durable Object, or objects.

use js_sys::Uint8Array;
use tributary_proto::{Message as _, v1::CommitResponse};
use worker::{Env, Method, Request, RequestInit};

use super::runtime::within;
use crate::{
    config::LEDGER,
    ledger::shards::{MAIN, object_name},
    limits::LEDGER_TIMEOUT,
    pipeline::{LedgerFailure, LedgerPort},
};

/// Path of a commit.
pub(crate) const COMMIT_PATH: &str = "/commit";
/// Path of the encoded state.
pub(crate) const STATE_PATH: &str = "/state";
/// Path of what a ledger tells of itself.
pub(crate) const COPY_PATH: &str = "/copy";
/// Path of taking that in.
pub(crate) const TAKE_IN_PATH: &str = "/take-in";
/// Names the ledger that is called, where that is not the first.
pub(crate) const LEDGER_PARAMETER: &str = "ledger";
/// Names the ledger that tells of itself.
pub(crate) const FROM_PARAMETER: &str = "from";
/// A Durable Object is addressed by its stub; the host of the URL means nothing.
const ORIGIN: &str = "https://ledger";

/// The ledgers of this installation.
pub(crate) struct Ledger<'a> {
    env: &'a Env,
}

impl<'a> Ledger<'a> {
    /// Those bound in `env`.
    pub(crate) fn new(env: &'a Env) -> Self {
        Self { env }
    }

    /// The encoded cumulative state of all ledgers, as it is now.
    ///
    /// # Errors
    /// [`LedgerFailure`]
    pub(crate) async fn state(&self) -> Result<Vec<u8>, LedgerFailure> {
        self.call(Method::Get, STATE_PATH, None).await
    }

    /// One call of the first ledger; the body of its answer.
    ///
    /// # Errors
    /// [`LedgerFailure`]
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, LedgerFailure> {
        // A Durable Object that panics gives no answer at all.
        within(LEDGER_TIMEOUT, call(self.env, MAIN, method, path, body))
            .await
            .unwrap_or_else(|| Err(LedgerFailure(format!("no answer within {LEDGER_TIMEOUT:?}"))))
    }
}

/// What a ledger tells of itself.
///
/// # Errors
/// [`LedgerFailure`]
pub(crate) async fn ask(env: &Env, path: &str, ledger: u32) -> Result<Vec<u8>, LedgerFailure> {
    call(env, ledger, Method::Get, path, None).await
}

/// Tells the first ledger of the one with this number.
///
/// # Errors
/// [`LedgerFailure`]
pub(crate) async fn tell(env: &Env, path: &str, from: u32, copy: Vec<u8>) -> Result<Vec<u8>, LedgerFailure> {
    call(env, MAIN, Method::Post, &format!("{path}?{FROM_PARAMETER}={from}"), Some(copy)).await
}

/// One call of a ledger; the body of its answer. The stub is a new one: one that threw is not used again.
async fn call(
    env: &Env,
    ledger: u32,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Vec<u8>, LedgerFailure> {
    let exchange = async {
        let mut init = RequestInit::new();
        init.with_method(method).with_body(body.map(|bytes| Uint8Array::from(bytes.as_slice()).into()));
        let url = if ledger == MAIN {
            format!("{ORIGIN}{path}")
        } else {
            format!("{ORIGIN}{path}?{LEDGER_PARAMETER}={ledger}")
        };
        let request = Request::new_with_init(&url, &init)?;
        let stub = env.durable_object(LEDGER)?.get_by_name(&object_name(ledger))?;
        let mut response = stub.fetch_with_request(request).await?;
        let bytes = response.bytes().await?;
        Ok::<_, worker::Error>((response.status_code(), bytes))
    };
    match exchange.await {
        Ok((200, bytes)) => Ok(bytes),
        Ok((status, bytes)) => {
            Err(LedgerFailure(format!("ledger {ledger}: status {status}: {}", String::from_utf8_lossy(&bytes))))
        }
        Err(error) => Err(LedgerFailure(format!("ledger {ledger}: {error}"))),
    }
}

impl LedgerPort for Ledger<'_> {
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        let call = call(self.env, ledger, Method::Post, COMMIT_PATH, Some(request.to_vec()));
        let bytes = within(LEDGER_TIMEOUT, call)
            .await
            .unwrap_or_else(|| Err(LedgerFailure(format!("ledger {ledger}: no answer within {LEDGER_TIMEOUT:?}"))))?;
        CommitResponse::decode(bytes.as_slice()).map_err(|error| LedgerFailure(format!("an answer that {error}")))
    }
}
