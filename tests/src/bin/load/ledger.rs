//! How fast messages go from the queue into the Ledger.

use std::{
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tributary_local::backend::Backend;
use tributary_proto::envelope::{Envelope, StreamId};

use crate::{
    cpu::Meter,
    table::{Spread, head, row},
    whole::Whole,
};

/// Isolates that the messages come from.
const STREAMS: u64 = 20;
/// Queues takes 256 kB in one call.
const CALL_BYTES: usize = 200_000;
const CALL_MESSAGES: usize = 100;

/// Messages of one kind, on their way into one Ledger.
pub(crate) struct Feed<'a> {
    name: String,
    /// What a producer of this run sent.
    messages: &'a [Vec<u8>],
    count: u64,
    sent: u64,
    bytes: usize,
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(name: &str, messages: &'a [Vec<u8>], count: u64) -> Self {
        Self { name: name.to_owned(), messages, count, sent: 0, bytes: 0, rates: Vec::new(), cpu: Vec::new() }
    }

    /// Puts all of them onto the queue at once, as if they came from many isolates, and waits until each is applied.
    fn round(&mut self, whole: &Whole, meter: &mut Meter, applied: &mut u64) {
        let mut batches = vec![Vec::new()];
        let mut bytes = 0;
        for message in self.messages.iter().cycle().take(self.count.try_into().unwrap()) {
            self.sent += 1;
            let mut envelope = Envelope::decode(message).unwrap();
            let mut stream = [0; 16];
            stream[..8].copy_from_slice(&(self.sent % STREAMS).to_be_bytes());
            stream[8..].copy_from_slice(&(self.messages.as_ptr() as u64).to_be_bytes());
            (envelope.stream_id, envelope.sequence) = (StreamId(stream), self.sent / STREAMS + 1);
            let encoded = envelope.encode().unwrap();
            bytes += encoded.len();
            self.bytes += encoded.len();
            if bytes > CALL_BYTES || batches.last().is_some_and(|batch: &Vec<String>| batch.len() == CALL_MESSAGES) {
                batches.push(Vec::new());
                bytes = encoded.len();
            }
            batches.last_mut().unwrap().push(BASE64_STANDARD.encode(encoded));
        }
        let before = meter.read(&whole.processes());
        let start = Instant::now();
        whole.feed(&batches);
        *applied += self.count;
        whole.wait_for(*applied as f64);
        let took = start.elapsed();
        // The acks, and what is still to be written.
        thread::sleep(Duration::from_millis(300));
        let cpu = meter.read(&whole.processes()) - before;
        self.rates.push(self.count as f64 / took.as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() * 1e6 / self.count as f64);
    }
}

/// Measures the kinds in turns, on one installation.
pub(crate) fn measure(feeds: &mut [Feed<'_>], rounds: usize, backend: &Backend) {
    let whole = Whole::start(None, &[], backend);
    let (mut meter, mut applied) = (Meter::default(), 0);
    for _ in 0..rounds {
        for feed in &mut *feeds {
            feed.round(&whole, &mut meter, &mut applied);
        }
    }
    head(&["queue → Ledger → backend", "messages", "bytes each", "messages/s", "CPU µs a message"]);
    for feed in feeds {
        row([
            feed.name.clone(),
            feed.sent.to_string(),
            (feed.bytes as u64 / feed.sent).to_string(),
            Spread::of(feed.rates.clone()).text(0),
            Spread::of(feed.cpu.clone()).text(0),
        ]);
    }
}
