//! The face of the crate.

use std::cell::OnceCell;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{MeterProviderBuilder, SdkMeterProvider};
use tributary_emitter::{Emitter, platform::env_text};
use worker::{Context, Env, console_error};

use crate::{resource::resource, source::set_up};

thread_local! {
    static PROVIDER: OnceCell<SdkMeterProvider> = const { OnceCell::new() };
}

/// OpenTelemetry's metrics in a Worker; a `static` of it. Instruments are made once in an isolate, and recording with them
/// neither waits nor sends; [`Metrics::flush`] in each handler does the rest.
///
/// # Examples
/// ```no_run
/// use std::sync::OnceLock;
/// use tributary_otel::{Metrics, opentelemetry::metrics::Counter};
/// use worker::{Context, Env, Request, Response, Result, event};
///
/// static METRICS: Metrics = Metrics::new("shop");
/// static REQUESTS: OnceLock<Counter<u64>> = OnceLock::new();
///
/// #[event(fetch)]
/// async fn fetch(_request: Request, env: Env, context: Context) -> Result<Response> {
///     let requests = REQUESTS.get_or_init(|| METRICS.meter(&env).u64_counter("shop.requests").build());
///     requests.add(1, &[]);
///     METRICS.flush(&env, &context);
///     Response::ok("Hello")
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    name: &'static str,
    emitter: Emitter,
    configure: fn(MeterProviderBuilder) -> MeterProviderBuilder,
}

impl Metrics {
    /// Metrics of the Worker `name`, 1 to 128 bytes, which go to the queue binding `DELTAS`. The name is that of the
    /// Worker's account on `/metrics`, and `service.name` where the environment names none.
    ///
    /// # Panics
    /// Where the name is empty or too long. In a `static` that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, emitter: Emitter::new(name), configure: std::convert::identity }
    }

    /// The same with another queue binding.
    #[must_use]
    pub const fn queue(self, binding: &'static str) -> Self {
        Self { emitter: self.emitter.queue(binding), ..self }
    }

    /// The same with views, or more attributes of the resource. The reader is there already; another one collects for
    /// itself.
    #[must_use]
    pub const fn configure(self, configure: fn(MeterProviderBuilder) -> MeterProviderBuilder) -> Self {
        Self { configure, ..self }
    }

    /// A meter, whose scope is the Worker's name. At the first call of an isolate it sets up the SDK.
    pub fn meter(&self, env: &Env) -> Meter {
        self.provider(env).meter(self.name)
    }

    /// The SDK's provider, for meters with other scopes, or to be made the global one.
    pub fn provider(&self, env: &Env) -> SdkMeterProvider {
        PROVIDER.with(|cell| {
            let set_up = || {
                let (resource, problem) = resource(self.name, |name| env_text(env, name));
                if let Some(problem) = problem {
                    console_error!("tributary: {problem}");
                }
                set_up(resource, self.configure)
            };
            cell.get_or_init(set_up).clone()
        })
    }

    /// Sees to it that all that this isolate has recorded is sent, after the response and with what other requests record
    /// until then. Call it in each handler, after recording; it does not wait. Families of `tributary-emitter` go along.
    pub fn flush(&self, env: &Env, context: &Context) {
        self.emitter.flush(env, context);
    }

    /// The same for handlers with another kind of context (a Durable Object, a cron trigger): the future that has to be
    /// kept alive until it ends, `None` if there is nothing to do.
    #[must_use = "what is not awaited sends nothing"]
    pub fn flushing(&self, env: &Env) -> Option<impl Future<Output = ()> + use<>> {
        self.emitter.flushing(env)
    }
}
