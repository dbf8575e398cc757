//! A Worker that records with OpenTelemetry's metrics API in several ways, as `make otel-load` asks it to
//! (`tests/src/bin/load/otel`); `emitter/npm/bench/worker.ts` is the same in TypeScript. `wrangler/build.sh tests/otel` builds it.
//!
//! - `/nothing`, `/none`, `/queue`, `/post` with `?n=`: an invocation that records nothing, records without an exporter, sends
//!   through the queue, or posts an OTLP request of its own. `n` says what it counts.
//! - `/record/<way>/<what>?n=`: the same recording `n` times, in a way and of a thing that
//!   `record.rs` knows.

mod post;
mod record;
mod shop;

use std::cell::OnceCell;

use tributary_otel::{Metrics, opentelemetry_sdk::metrics::SdkMeterProvider};
use worker::{Context, Env, Request, Response, Result, event};

use post::Post;
use record::Records;
use shop::Shop;

/// The name of the Worker, and of its account.
const NAME: &str = "load";

static METRICS: Metrics = Metrics::new(NAME);

thread_local! {
    /// What an isolate makes once, each when it is first asked for: a runtime is measured for one way alone.
    static QUEUE: OnceCell<Shop> = const { OnceCell::new() };
    static NONE: OnceCell<Shop> = const { OnceCell::new() };
    static POST: OnceCell<Post> = const { OnceCell::new() };
    static RECORDS: OnceCell<Records> = const { OnceCell::new() };
}

/// An SDK without a reader: its instruments do nothing.
fn no_exporter() -> SdkMeterProvider {
    SdkMeterProvider::builder().build()
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let url = request.url()?;
    let n = url.query_pairs().find_map(|(key, value)| (key == "n").then(|| value.parse().ok())?).unwrap_or(0);
    match url.path() {
        "/nothing" => {}
        "/none" => NONE.with(|shop| shop.get_or_init(|| Shop::new(&no_exporter())).order(n)),
        "/queue" => {
            QUEUE.with(|shop| shop.get_or_init(|| Shop::new(&METRICS.provider(&env))).order(n));
            METRICS.flush(&env, &context);
        }
        "/post" => {
            let request = POST.with(|post| post.get_or_init(Post::new).order(n))?;
            context.wait_until(post::send(env, request));
        }
        path => {
            let is_known = RECORDS.with(|records| {
                let records = records.get_or_init(|| Records::new(&METRICS.provider(&env), &no_exporter()));
                path.strip_prefix("/record/").is_some_and(|way| records.record(way, n))
            });
            if !is_known {
                return Response::error("no such way", 404);
            }
            METRICS.flush(&env, &context);
        }
    }
    Response::ok("ok")
}
