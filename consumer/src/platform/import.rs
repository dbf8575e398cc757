//! Imports: from a request to the Ledger, and its answer back.

use tributary_proto::{
    Message,
    v1::{ImportList, ImportResponse, import_response::Outcome},
};
use worker::{Env, Method, Request};

use super::{body, ledger::Ledger, log};
use crate::{
    import::{Call, decided, list, too_large},
    limits::{MAX_DRAINED_IMPORT_BYTES, MAX_IMPORT_BYTES},
    pipeline::LedgerFailure,
    scrape::respond::Answer,
};

/// Path of the Ledger's calls: `POST` imports, `GET` lists.
pub(crate) const PATH: &str = "/import";

/// Answers a call.
///
/// # Errors
/// Where the body cannot be read.
pub(crate) async fn answer(call: Call, request: &Request, env: &Env) -> worker::Result<Answer> {
    let result = match call {
        Call::List => read::<ImportList>(env, Method::Get, None).await.map(|imports| list(&imports.records)),
        Call::Import => {
            let Some(body) = body::read(request, MAX_IMPORT_BYTES, MAX_DRAINED_IMPORT_BYTES).await? else {
                return Ok(too_large());
            };
            read::<ImportResponse>(env, Method::Post, Some(body)).await.map(|response| {
                note(&response);
                decided(&response)
            })
        }
    };
    Ok(result.unwrap_or_else(|failure| {
        log::error("import", &serde_json::json!({"why": failure.to_string()}));
        Answer::error(503, "STORE_UNAVAILABLE", "the Ledger does not answer now; the log says why. Ask again")
    }))
}

async fn read<R: Message + Default>(env: &Env, method: Method, body: Option<Vec<u8>>) -> Result<R, LedgerFailure> {
    let answer = Ledger::new(env).call(method, PATH, body).await?;
    R::decode(answer.as_slice()).map_err(|error| LedgerFailure(format!("an answer that {error}")))
}

/// Totals that were not counted here are something that somebody will ask for some time.
fn note(response: &ImportResponse) {
    if let Some(record) = response.record.as_ref().filter(|_| response.outcome() == Outcome::Applied) {
        log::warn(
            "imported",
            &serde_json::json!({
                "source": record.source, "resolver_id": record.resolver_id, "digest": record.digest,
                "families": record.families.len(),
            }),
        );
    }
}
