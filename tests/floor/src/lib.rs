//! A Worker with the handlers of the consumer and nothing in them: a queue whose messages go into a Durable Object with
//! SQLite, which a request reads. What it weighs is the floor of docs/performance.md; `wrangler/build.sh tests/floor` builds it.

mod object;

use worker::{Context, Env, MessageBatch, MessageExt as _, Method, Request, RequestInit, Response, Result, event};

async fn ledger(env: &Env, init: &RequestInit) -> Result<Response> {
    let request = Request::new_with_init("https://ledger/", init)?;
    env.durable_object("LEDGER")?.get_by_name("main")?.fetch_with_request(request).await
}

#[event(fetch)]
async fn fetch(_request: Request, env: Env, _context: Context) -> Result<Response> {
    ledger(&env, &RequestInit::new()).await
}

#[event(queue)]
async fn queue(batch: MessageBatch<String>, env: Env, _context: Context) -> Result<()> {
    for message in batch.messages()? {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(message.body().as_str().into()));
        ledger(&env, &init).await?;
        message.ack();
    }
    Ok(())
}
