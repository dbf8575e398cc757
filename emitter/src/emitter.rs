//! The one call of a handler.

use std::cell::OnceCell;
use std::rc::Rc;

use tributary_proto::envelope::{MAX_RESOLVER_ID_BYTES, StreamId};
use worker::{Context, Env, console_error, console_warn};

use crate::clock;
use crate::config::{Config, QUEUE_BINDING, queue_binding};
use crate::flusher::LeaseId;
use crate::isolate::{Isolate, Notes};
use crate::platform::{self, Queue};
use crate::send::send;

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

/// Sends what a Worker recorded; a `static` of the Worker. All of an isolate's requests share one stream.
///
/// # Examples
/// ```no_run
/// use tributary_emitter::{Counter, Emitter, Family};
/// use worker::{Context, Env, Request, Response, Result, event};
///
/// static EMITTER: Emitter = Emitter::new("shop");
/// static REQUESTS: Family<Counter, 1> = Family::counter("shop_requests", "Requests served.", ["method"]);
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
///     REQUESTS.with([request.method().as_ref()]).increment();
///     EMITTER.flush(&env, &context);
///     Response::ok("Hello")
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Emitter {
    name: &'static str,
    queue: &'static str,
}

impl Emitter {
    /// An emitter of the Worker `name`, 1 to 128 bytes, which sends to the queue binding `DELTAS`. The name is that of
    /// its account on `/metrics`, the label `resolver_id` of `tributary_records_sent_total` and its kin.
    ///
    /// # Panics
    /// Where the name is empty or too long. In a `static` that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= MAX_RESOLVER_ID_BYTES, "a name of 1 to 128 bytes");
        Self { name, queue: QUEUE_BINDING }
    }

    /// The same with another queue binding. With several queues (`QUEUE_SHARDS`) it is that of the first, and the others
    /// have its name with `_1`, `_2` … behind it.
    #[must_use]
    pub const fn queue(self, binding: &'static str) -> Self {
        Self { queue: binding, ..self }
    }

    /// Sees to it that all that this isolate has recorded is sent, after the response and with what other requests record
    /// until then. Call it in each handler, after recording; it does not wait.
    pub fn flush(&self, env: &Env, context: &Context) {
        if let Some(flushing) = self.flushing(env) {
            context.wait_until(flushing);
        }
    }

    /// The same for handlers with another kind of context (a Durable Object, a cron trigger): the future that has to be
    /// kept alive until it ends, `None` if there is nothing to do.
    #[must_use = "what is not awaited sends nothing"]
    pub fn flushing(&self, env: &Env) -> Option<impl Future<Output = ()> + use<>> {
        let isolate = self.isolate(env)?;
        let lease = isolate.begin(clock::epoch_ms())?;
        Some(flush(isolate, env.clone(), self.queue, lease))
    }

    /// The isolate, made at the first request: there is no randomness, no clock and no environment before.
    fn isolate(&self, env: &Env) -> Option<Rc<Isolate>> {
        ISOLATE.with(|cell| {
            if let Some(isolate) = cell.get() {
                return Some(Rc::clone(isolate));
            }
            let Some(stream_id) = platform::random_id() else {
                console_error!("tributary: no randomness outside of a handler; nothing is sent");
                return None;
            };
            let (config, problems) = Config::parse(|name| platform::env_text(env, name));
            for problem in problems {
                console_error!("tributary: {problem}");
            }
            let isolate = Rc::new(Isolate::new(StreamId(stream_id), self.name, config));
            Some(Rc::clone(cell.get_or_init(|| isolate)))
        })
    }
}

async fn flush(isolate: Rc<Isolate>, env: Env, queue: &'static str, lease: Option<LeaseId>) {
    if lease.is_some() {
        platform::wait(isolate.config.flush_interval_ms).await;
    }
    let (attempt, notes) = isolate.seal_and_take(clock::epoch_ms(), lease);
    warn(&notes);
    let port = Queue { env: &env, binding: queue };
    let confirm = |sequences: &[u64]| isolate.flusher.borrow_mut().confirm(sequences);
    let avoided = |number: u32, failure: &str| {
        if isolate.config.queue_shards > 1 {
            console_warn!("tributary: the queue {} fails: {failure}", queue_binding(queue, number));
        }
    };
    let sent = send(&port, &isolate.queues, attempt, confirm, avoided).await;
    if let Err(unsent) = sent {
        isolate.flusher.borrow_mut().release(unsent.id, &unsent.sequences);
        let messages = unsent.sequences.len();
        console_error!("tributary: {messages} messages wait for the next request: {}", unsent.failure);
    }
}

fn warn(notes: &Notes) {
    if notes.dropped > 0 {
        console_warn!(
            "tributary: {} recordings dropped: a label or value that no series can have, another family of that name, \
             or too many families",
            notes.dropped
        );
    }
    if notes.sealed.held_back {
        console_warn!("tributary: too many messages wait for the queue; metrics go on merging");
    }
    if let Some(error) = &notes.sealed.error {
        console_error!("tributary: a message had no bytes: {error}");
    }
}
