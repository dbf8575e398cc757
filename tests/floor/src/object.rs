//! The Durable Object.

use worker::{DurableObject, Env, Method, Request, Response, Result, State, durable_object};

/// Counts the bytes of all messages.
#[durable_object]
pub struct Ledger {
    state: State,
}

impl DurableObject for Ledger {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let sql = self.state.storage().sql();
        sql.exec("CREATE TABLE IF NOT EXISTS total (bytes INTEGER)", None)?;
        if request.method() == Method::Post {
            let bytes = i64::try_from(request.bytes().await?.len()).unwrap_or(i64::MAX);
            sql.exec("INSERT INTO total VALUES (?)", vec![bytes.into()])?;
        }
        Response::empty()
    }
}
