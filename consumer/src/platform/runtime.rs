//! Clock, randomness, variables, timeouts.

use std::{future::Future, pin::pin, time::Duration};

use futures::future::{Either, select};
use tributary_proto::envelope::StreamId;
use worker::{Delay, Env};

use crate::config::{Config, Variables};

/// Now, in milliseconds since the epoch. Moves only across I/O.
pub(crate) fn now_ms() -> u64 {
    worker::Date::now().as_millis()
}

/// 32 random bits. Not for secrets; 0, which only makes a delay predictable, if there is no randomness.
pub(crate) fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

/// A new stream id.
///
/// # Errors
/// Where the platform gives no randomness: an id that is not random could be another isolate's.
pub(crate) fn new_stream_id() -> Result<StreamId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(StreamId(id))
}

struct EnvVariables<'a>(&'a Env);

impl Variables for EnvVariables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        // A secret and a variable are both strings on the environment.
        self.0.var(name).ok().map(|value| value.to_string())
    }
}

/// The configuration, with its problems logged.
pub(crate) fn config(env: &Env) -> Config {
    let (config, problems) = Config::read(&EnvVariables(env));
    for problem in problems {
        super::log::warn("config", &serde_json::json!({"problem": problem.to_string()}));
    }
    config
}

/// The future's output, or `None` when it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(Delay::from(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
