//! Invocations of the consumer: the pipeline's future, and the calls that it waits for.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tributary_consumer::{
    backend::delivery::DeliveryOutcome,
    dimensions::Dimensions,
    message::{MessageBody, QueueMessage},
    pipeline::{BatchResult, LedgerFailure, MessageVerdict, Surroundings, process},
    self_report::SelfReport,
};
use tributary_proto::{envelope::StreamId, v1::CommitResponse};
use tributary_tests::growth::as_f64;

use super::{Event, SECOND, Simulation};
use crate::{
    START_MS,
    chance::{between, happens, whole},
    platform::{BACKEND, COSTS, NETWORK, START, WASM},
    ports::{Call, Ports, Reply, Wire},
    queue::Item,
    server::Job,
    traffic::RESOLVER_ID,
};

/// An invocation of the consumer.
pub(super) struct Run {
    queue: usize,
    slot: usize,
    items: Vec<Item>,
    wire: Rc<Wire>,
    future: Pin<Box<dyn Future<Output = BatchResult>>>,
    /// On their way: by call, the number of a Ledger and what it is asked.
    requests: BTreeMap<u64, (usize, Vec<u8>)>,
}

impl Simulation {
    pub(super) fn invoke(&mut self, queue: usize, items: Vec<Item>) {
        let Some(slot) = self.free[queue].pop() else { unreachable!("no more run than there are") };
        self.queues[queue].running += 1;
        self.watch.batches += 1;
        let messages = as_f64(u64::try_from(items.len()).unwrap());
        let starts_at = self.now + START + whole(messages * COSTS.message * WASM);
        let report = self.reports.entry((queue, slot)).or_insert_with(|| {
            let id = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
            Rc::new(RefCell::new(SelfReport::new(StreamId(id.to_be_bytes()))))
        });
        let (report, wire) = (Rc::clone(report), Rc::new(Wire::default()));
        let message = |item: &Item| QueueMessage {
            id: item.id.to_string(),
            sent_ms: START_MS + item.sent_us / 1_000,
            attempts: item.attempts,
            body: MessageBody::Bytes(item.body.to_vec()),
        };
        let messages: Vec<QueueMessage> = items.iter().map(message).collect();
        let random = u32::try_from(self.random.below(1 << 32)).unwrap_or_default();
        let surroundings = Surroundings {
            now_ms: START_MS + starts_at / 1_000,
            random,
            resolver_id: RESOLVER_ID,
            dimensions: Dimensions::default(),
        };
        let ports = Ports(Rc::clone(&wire));
        let future = Box::pin(async move { process(&messages, &ports, &ports, &ports, &report, surroundings).await });
        self.last_run += 1;
        self.runs.insert(self.last_run, Run { queue, slot, items, wire, future, requests: BTreeMap::new() });
        self.at(starts_at, Event::Resume(self.last_run, 0));
    }

    /// A call of a run was answered, or it begins.
    pub(super) fn resume(&mut self, id: u64, call: u64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if happens(self.plan.faults.crashes, &mut self.random) {
            self.watch.crashes += 1;
            return self.crash(id);
        }
        run.wire.now_ms.set(START_MS + self.now / 1_000);
        run.wire.arrived(call);
        match run.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => self.settle(id, result),
            Poll::Pending => {
                for (call, what) in run.wire.calls.take() {
                    let (after, event) = match what {
                        Call::Commit(ledger, request) => {
                            run.requests.insert(call, (usize::try_from(ledger).unwrap(), request));
                            (between(NETWORK, &mut self.random), Event::Arrive(id, call))
                        }
                        Call::Deliver => {
                            run.wire.answer(call, Reply::Delivered(DeliveryOutcome::Delivered));
                            (between(BACKEND, &mut self.random), Event::Resume(id, call))
                        }
                    };
                    self.order += 1;
                    self.events.push(std::cmp::Reverse((self.now + after, self.order, event)));
                }
            }
        }
    }

    fn settle(&mut self, id: u64, result: BatchResult) {
        let Some(run) = self.runs.remove(&id) else { return };
        for (mut item, verdict) in run.items.iter().cloned().zip(result.verdicts) {
            self.queues[run.queue].bytes -= item.bytes;
            match verdict {
                MessageVerdict::Ack => {}
                MessageVerdict::Dead => panic!("a good message died: {:?}", result.events),
                MessageVerdict::Retry(delay) => {
                    item.attempts += 1;
                    self.watch.retries += 1;
                    let due = self.now + u64::try_from(delay.as_micros()).unwrap();
                    self.queues[run.queue].put_later(due, item);
                }
            }
        }
        self.ended(&run);
    }

    /// The isolate of a run is gone: nobody acked its messages.
    fn crash(&mut self, id: u64) {
        let Some(run) = self.runs.remove(&id) else { return };
        for mut item in run.items.iter().cloned() {
            item.attempts += 1;
            self.queues[run.queue].bytes -= item.bytes;
            let due = self.now + between((SECOND, 5 * SECOND), &mut self.random);
            self.queues[run.queue].put_later(due, item);
        }
        self.reports.remove(&(run.queue, run.slot));
        self.ended(&run);
    }

    fn ended(&mut self, run: &Run) {
        self.free[run.queue].push(run.slot);
        self.queues[run.queue].running -= 1;
        self.deliver(run.queue);
    }

    pub(super) fn arrive(&mut self, id: u64, call: u64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some((ledger, request)) = run.requests.remove(&call) else { return };
        self.watch.commits += 1;
        if self.servers[ledger].take(Job::Commit { run: id, call, request }).is_err() {
            return self.answer((id, call), Err(LedgerFailure("overloaded".to_owned())), 0);
        }
        self.work(ledger);
    }

    pub(super) fn answer(&mut self, (id, call): (u64, u64), answer: Result<CommitResponse, LedgerFailure>, after: u64) {
        let Some(run) = self.runs.get(&id) else { return };
        run.wire.answer(call, Reply::Commit(answer));
        let at = self.now + after + between(NETWORK, &mut self.random);
        self.at(at, Event::Resume(id, call));
    }
}
