//! The consumer Worker: merges the deltas of all isolates exactly once, forwards their flag logs, publishes metrics.
//!
//! Read in the order of the flow: [`message`] (one queue message), [`pipeline`] (one batch; [`custom`]: metrics of any
//! Worker's own in it), [`ledger`] (the cumulative state), [`backend`] (deliveries), [`dead_letters`] (what was given up),
//! [`import`] (what was counted before), [`scrape`] (`/metrics`), [`status_page`] (`/status`), [`state_refresh`] (the
//! resolver state, once a minute). All of these are plain Rust and tested natively; `platform` wires them to the Workers
//! runtime and holds no
//! logic.

pub mod backend;
pub mod config;
pub mod custom;
pub mod dead_letters;
pub mod dimensions;
pub mod import;
pub mod ledger;
pub mod limits;
pub mod message;
pub mod otlp;
pub mod pipeline;
#[cfg(target_arch = "wasm32")]
mod platform;
pub mod scrape;
pub mod self_metrics;
pub mod self_report;
pub mod state_refresh;
pub mod status_page;
pub mod target;

#[cfg(target_arch = "wasm32")]
mod entry {
    //! What the platform calls.

    use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
    use worker::{Context, Env, Request, Response, event, worker_sys};

    use crate::{
        config::is_dead_letter_queue,
        dead_letters::keep::keep,
        pipeline::{Surroundings, process},
        platform::{
            backend::Backend, dead_letters::DeadLetters, fetch::serve, ledger::Ledger, log, queue, report, runtime,
            state_refresh,
        },
    };

    #[event(fetch)]
    async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
        serve(&request, &env, &context).await
    }

    /// The queue handler, exported by hand: `#[event(queue)]` turns an error into a panic, which resets the isolate.
    ///
    /// Never rejects for a reason of its own: a rejected batch is retried as a whole. What it cannot do it leaves
    /// unsettled by message.
    #[wasm_bindgen]
    #[expect(unreachable_pub, reason = "exported to JavaScript")]
    pub async fn queue(
        batch: worker_sys::MessageBatch,
        env: Env,
        _context: worker_sys::Context,
    ) -> Result<JsValue, JsValue> {
        let name = String::from(batch.queue()?);
        let messages = queue::read(&batch)?;
        let config = runtime::config(&env);
        let dead_letters = DeadLetters::new(&env);
        if is_dead_letter_queue(&name) {
            let (handles, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let kept = keep(&messages, &dead_letters, runtime::now_ms(), runtime::random()).await;
            log::kept(&kept);
            for (handle, verdict) in handles.iter().zip(kept.verdicts) {
                queue::settle(handle, verdict)?;
            }
            return Ok(JsValue::UNDEFINED);
        }
        let report = report::of_isolate().map_err(|error| JsValue::from(error.to_string()))?;
        let (handles, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let surroundings = Surroundings {
            now_ms: runtime::now_ms(),
            random: runtime::random(),
            resolver_id: &config.resolver_id,
            dimensions: config.dimensions,
        };
        let result =
            process(&messages, &Ledger::new(&env), &Backend::new(&env, &config), &dead_letters, &report, surroundings)
                .await;
        for event in &result.events {
            log::batch_event(event);
        }
        for (handle, verdict) in handles.iter().zip(result.verdicts) {
            queue::settle(handle, verdict)?;
        }
        Ok(JsValue::UNDEFINED)
    }

    /// The cron trigger, exported by hand: the event of `#[event(scheduled)]` unwraps what the platform says of its time.
    ///
    /// Never rejects: the platform does not try a cron again, and the next minute does.
    #[wasm_bindgen]
    #[expect(unreachable_pub, reason = "exported to JavaScript")]
    pub async fn scheduled(_event: JsValue, env: Env, _context: JsValue) -> Result<JsValue, JsValue> {
        state_refresh::run(&env).await;
        Ok(JsValue::UNDEFINED)
    }
}
