//! The producer's side: recording a resolve, and from what the resolver hands to its host to the bytes of a message.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use confidence_resolver::{
    Client, FlagToApply, Host, ResolvedValue,
    proto::{
        confidence::flags::resolver::v1::{ResolveReason, Sdk},
        google::{Struct, Timestamp},
    },
    telemetry::Telemetry,
};
use tributary_consumer::message::MessageBody;
use tributary_producer::{host::WorkerHost, isolate::Isolate};
use tributary_tests::peer::Row;

use crate::{
    inputs::{
        BATCH, COALESCED, Inputs, NOW_MS, PeerHost, isolate, mean, peer_message, record, resolve_one, seal,
        take_peer_log,
    },
    instructions::{self, Case, region},
    table::{Side, Table, timed},
};

thread_local! {
    static LOGGING: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A host that sums the time of its calls: they happen inside a resolve, which is no part of the comparison.
struct Timed<H>(std::marker::PhantomData<H>);

impl<H: Host> Host for Timed<H> {
    fn current_time() -> Timestamp {
        PeerHost::current_time()
    }

    fn log_resolve(resolve_id: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &Client) {
        add_logging(|| H::log_resolve(resolve_id, context, values, client));
    }

    fn log_assign(resolve_id: &str, flags: &[FlagToApply<'_>], client: &Client, sdk: &Option<Sdk>) {
        add_logging(|| H::log_assign(resolve_id, flags, client, sdk));
    }
}

fn add_logging(work: impl FnOnce()) {
    let start = Instant::now();
    work();
    LOGGING.set(LOGGING.get() + start.elapsed());
}

/// A host whose calls are counted: they happen inside a resolve, which is no part of the comparison.
struct Counted<H>(std::marker::PhantomData<H>);

impl<H: Host> Host for Counted<H> {
    fn current_time() -> Timestamp {
        PeerHost::current_time()
    }

    fn log_resolve(resolve_id: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &Client) {
        region(|| H::log_resolve(resolve_id, context, values, client));
    }

    fn log_assign(resolve_id: &str, flags: &[FlagToApply<'_>], client: &Client, sdk: &Option<Sdk>) {
        region(|| H::log_assign(resolve_id, flags, client, sdk));
    }
}

pub(crate) fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    let resolves = &inputs.observations;
    let as_enum = |reason: &i32| ResolveReason::try_from(*reason).unwrap();
    let typed: Vec<(u32, Vec<ResolveReason>)> =
        resolves.iter().map(|(latency, reasons)| (*latency, reasons.iter().map(as_enum).collect())).collect();
    let telemetry = Telemetry::new();
    let isolate = isolate();
    let record = Case::beside(
        "record",
        instructions::Side::new(resolves.len(), move || {
            region(|| {
                for (latency, reasons) in &typed {
                    telemetry.record_latency_us(*latency);
                    reasons.iter().for_each(|reason| telemetry.mark_resolve(*reason));
                }
            });
        }),
        instructions::Side::new(resolves.len(), move || {
            let mut flusher = isolate.flusher.borrow_mut();
            region(|| {
                for (latency, reasons) in resolves {
                    flusher.observe(*latency, reasons);
                    let _role = flusher.push(NOW_MS, 0, 1_000);
                }
            });
        }),
        Some(2.0),
    );
    let encode = |work, messages: usize, resolves: usize| {
        let (peer, ours) = (crate::inputs::isolate(), crate::inputs::isolate());
        let elements = messages * resolves;
        Case::beside(
            work,
            instructions::Side::new(elements, move || {
                for index in 0..elements {
                    let reasons = resolve_one::<Counted<PeerHost>>(&peer, index);
                    region(|| peer_message(&take_peer_log(500, &reasons)));
                }
            }),
            instructions::Side::new(elements, move || {
                for message in 0..messages {
                    for index in 0..resolves {
                        let reasons = resolve_one::<Counted<WorkerHost>>(&ours, message * resolves + index);
                        region(|| crate::inputs::record(&ours, 500, reasons));
                    }
                    region(|| seal(&ours));
                }
            }),
            None,
        )
    };
    vec![
        record,
        encode("log and encode, 1 resolve a message", 20, 1),
        encode("log and encode, 100 resolves a message", 2, COALESCED),
    ]
}

pub(crate) fn run(table: &mut Table, inputs: &Inputs) {
    push(table, inputs);
    encode(table, 1);
    encode(table, COALESCED);
}

/// Between response and flush: one latency, and one reason for each flag.
fn push(table: &mut Table, inputs: &Inputs) {
    let resolves = &inputs.observations[..1_000];
    let as_enum = |reason: &i32| ResolveReason::try_from(*reason).unwrap();
    let typed: Vec<(u32, Vec<ResolveReason>)> =
        resolves.iter().map(|(latency, reasons)| (*latency, reasons.iter().map(as_enum).collect())).collect();
    let telemetry = Telemetry::new();
    let isolate = isolate();
    table.compare(
        "record, per resolve",
        Side {
            elements: 1_000,
            routine: || {
                timed(&typed, |resolves| {
                    for (latency, reasons) in resolves {
                        telemetry.record_latency_us(*latency);
                        reasons.iter().for_each(|reason| telemetry.mark_resolve(*reason));
                    }
                })
            },
        },
        Side {
            elements: 1_000,
            routine: || {
                let mut flusher = isolate.flusher.borrow_mut();
                timed(resolves, |resolves| {
                    for (latency, reasons) in resolves {
                        flusher.observe(*latency, reasons);
                        let _role = flusher.push(NOW_MS, 0, 1_000);
                    }
                })
            },
        },
    );
}

/// From the calls of the host to the bytes of a message, `resolves` of them in one message of ours; the peer always
/// sends one message each. With one clock reading for each call of the host, on both sides.
fn encode(table: &mut Table, resolves: usize) {
    let isolate = &isolate();
    let elements = u32::try_from(resolves).unwrap();
    let plural = if resolves == 1 { "" } else { "s" };
    table.compare(
        &format!("log and encode, {resolves} resolve{plural} a message, per resolve"),
        Side { elements, routine: || (0..resolves).map(|index| encode_peer(isolate, index)).sum() },
        Side { elements, routine: || encode_ours(isolate, resolves) },
    );
}

fn encode_peer(isolate: &Isolate, index: usize) -> Duration {
    LOGGING.set(Duration::ZERO);
    let reasons = resolve_one::<Timed<PeerHost>>(isolate, index);
    LOGGING.get() + timed(reasons, |reasons| peer_message(&take_peer_log(500, &reasons)))
}

fn encode_ours(isolate: &Isolate, resolves: usize) -> Duration {
    LOGGING.set(Duration::ZERO);
    let mut recording = Duration::ZERO;
    for index in 0..resolves {
        let reasons = resolve_one::<Timed<WorkerHost>>(isolate, index);
        recording += timed(reasons, |reasons| record(isolate, 500, reasons));
    }
    LOGGING.get() + recording + timed((), |()| seal(isolate))
}

/// Bytes in the queue.
pub(crate) fn sizes(inputs: &Inputs) -> Vec<Row> {
    let peer = mean(inputs.peer.iter().map(String::len).sum(), inputs.peer.len());
    let bytes = |messages: &[tributary_consumer::message::QueueMessage]| -> usize {
        messages.iter().map(|message| if let MessageBody::Bytes(bytes) = &message.body { bytes.len() } else { 0 }).sum()
    };
    vec![
        crate::bytes_row(
            "in the queue, per resolve, 100 resolves a message",
            peer,
            mean(bytes(&inputs.coalesced), BATCH * COALESCED),
            Some(10.0),
        ),
        crate::bytes_row(
            "in the queue, per resolve, 1 resolve a message",
            peer,
            mean(bytes(&inputs.single), BATCH),
            None,
        ),
    ]
}
