//! Floors: what any program would still have to do for the same messages. Each is the least loop that does it, without a
//! check, an error or a guarantee.

use std::{collections::HashMap, hint::black_box};

use tributary_consumer::message::{MessageBody, QueueMessage};
use tributary_proto::wire::{Cursor, Field};
use tributary_telemetry::LatencyHistogram;
use tributary_tests::peer::Unit;

use crate::{
    consuming::{CoreLedger, grown_states, process_batch},
    inputs::{BATCH, COALESCED, Inputs},
    instructions::{Case, Side, region},
};

/// Each of the work with the same name.
pub(crate) fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    let flag_logs = |work, messages, resolves| {
        let bodies = process_batch(messages, &CoreLedger::new(grown_states(inputs).1));
        let run = move || region(|| read_and_write(messages, &bodies));
        Case::alone(work, Unit::Floor, Side::new(BATCH * resolves, run))
    };
    let telemetry = |work, messages, resolves| {
        Case::alone(work, Unit::Floor, Side::new(BATCH * resolves, move || region(|| add_up(messages))))
    };
    let mut recorded = Box::new(Recorded { buckets: [0; 256], sum: 0, reasons: [0; 16] });
    let observations = inputs.observations.as_slice();
    let record = move || region(|| recorded.record(observations));
    vec![
        Case::alone("record", Unit::Floor, Side::new(observations.len(), record)),
        flag_logs("consumer, 100 resolves a message", inputs.coalesced.as_slice(), COALESCED),
        flag_logs("consumer, 1 resolve a message", inputs.single.as_slice(), 1),
        telemetry("telemetry alone, 100 resolves a message", inputs.telemetry.coalesced.as_slice(), COALESCED),
        telemetry("telemetry alone, 1 resolve a message", inputs.telemetry.single.as_slice(), 1),
    ]
}

/// What recording must keep. The count of resolves is the sum of the buckets.
struct Recorded {
    buckets: [u64; 256],
    sum: u64,
    reasons: [u64; 16],
}

impl Recorded {
    /// A bucket and a sum for each latency, and a count for each reason, whatever its number; nobody is told to send.
    fn record(&mut self, observations: &[(u32, Vec<i32>)]) {
        for (latency, reasons) in observations {
            // A resolve is a request: nothing of it stays in registers until the next.
            let this = black_box(&mut *self);
            this.buckets[LatencyHistogram::bucket_of(*latency) & 0xff] += 1;
            this.sum = this.sum.wrapping_add(u64::from(*latency));
            for reason in reasons {
                this.reasons[(reason.cast_unsigned() & 0xf) as usize] += 1;
            }
        }
    }
}

fn bytes(message: &QueueMessage) -> &[u8] {
    match &message.body {
        MessageBody::Bytes(bytes) => bytes,
        other => unreachable!("{other:?}"),
    }
}

/// Looks at every byte of the messages once, and writes the backend's bodies.
fn read_and_write(messages: &[QueueMessage], bodies: &[Vec<u8>]) -> (u64, Vec<u8>) {
    let mut sum = 0_u64;
    for message in messages {
        for chunk in bytes(message).chunks_exact(8) {
            // Not to be read many at a time: what is looked for are fields.
            sum = black_box(sum ^ u64::from_le_bytes(chunk.try_into().unwrap()));
        }
    }
    (sum, bodies.concat())
}

/// Reads every field of the messages down to each number, adds it up, and remembers the stream.
fn add_up(messages: &[QueueMessage]) -> (u64, HashMap<[u8; 16], u64>) {
    let (mut totals, mut streams) = (0, HashMap::new());
    for message in messages {
        let mut cursor = Cursor::new(bytes(message));
        let mut stream = [0; 16];
        while let Ok(Some((number, field))) = cursor.field() {
            match (number, field) {
                (2, Field::Bytes(id)) => stream = id.try_into().unwrap(),
                (3, Field::Varint(sequence)) => *streams.entry(stream).or_default() = sequence,
                (7, Field::Bytes(logs)) => totals += numbers(logs, 0),
                _ => {}
            }
        }
    }
    (totals, streams)
}

/// The sum of the numbers in a report: flag logs, telemetry, histogram and rates, spans.
fn numbers(message: &[u8], depth: u32) -> u64 {
    let mut cursor = Cursor::new(message);
    let mut sum = 0_u64;
    while let Ok(Some((number, field))) = cursor.field() {
        sum = sum.wrapping_add(match (depth, number, field) {
            (_, _, Field::Varint(value)) => value,
            (0, 2, Field::Bytes(nested)) | (1, 4..=6, Field::Bytes(nested)) | (2, 3, Field::Bytes(nested)) => {
                numbers(nested, depth + 1)
            }
            (3, 2, Field::Bytes(counts)) => {
                let mut counts = Cursor::new(counts);
                std::iter::from_fn(|| (!counts.is_empty()).then(|| counts.varint().unwrap())).sum()
            }
            _ => 0,
        });
    }
    sum
}
