//! The state does not grow with the isolates or the messages seen; rows grow with the streams alive, and no further.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use std::collections::BTreeMap;

use tributary_consumer::{
    dimensions::Dimensions,
    ledger::{
        book::{Book, ForgetReason},
        commit::{Commit, Decision, Record, StreamKind, StreamRow, decide},
        floor::StreamBounds,
        parts::StoredBook,
        storage,
    },
    message::{Decoded, MessageBody, QueueMessage, decode},
    self_metrics,
};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, MAX_RESOLVER_ID_BYTES, StreamId},
    flag_logs::{
        TelemetryData, WriteFlagLogsRequest,
        telemetry_data::{BucketSpan, ProviderInitRate, ResolveLatency, ResolveRate},
    },
    v1::CommitRequest,
};
use tributary_telemetry::{
    LATENCY_LN_RATIO, LabelSet, Value,
    confidence::{TelemetryDelta, catalog},
    limits::MAX_SNAPSHOT_BYTES,
};

const NOW: u64 = 1_800_000_000_000;

struct Ledger {
    rows: BTreeMap<StreamId, StreamRow>,
    book: Book,
    commits: u64,
}

impl Ledger {
    fn new() -> Self {
        Self { rows: BTreeMap::new(), book: Book::new("eu", NOW).unwrap(), commits: 0 }
    }

    /// One commit of the next record of each of these streams.
    fn commit(&mut self, streams: &[u64]) {
        self.commits += 1;
        let records: Vec<Record> = streams
            .iter()
            .map(|stream| {
                let stream_id = id(*stream);
                let sequence = self.rows.get(&stream_id).map_or(1, |row| row.progress.high_water() + 1);
                let window_end_ms = NOW + self.commits;
                Record { stream_id, sequence, window_end_ms, kind: StreamKind::Producer, resolver_id: "eu".into() }
            })
            .collect();
        let mut telemetry = TelemetryDelta::new();
        telemetry.add_resolves(1, 3);
        telemetry.observe_latency(u32::try_from(self.commits % 100_000).unwrap());
        let delta = telemetry.to_delta("eu", NOW).unwrap();
        let commit = Commit { records, delta, custom: Vec::new() };
        let known = commit.streams().into_iter().filter_map(|id| Some((id, self.rows.get(&id)?.clone()))).collect();
        let decision = decide(&commit, &known, &mut self.book, NOW + self.commits).unwrap();
        let Decision::Apply { rows, .. } = decision else { panic!("{decision:?}") };
        self.rows.extend(rows);
    }

    /// Commits a batch of messages as the pipeline does, all of it through bytes.
    fn commit_messages(&mut self, messages: &[Decoded]) -> Decision {
        self.commits += 1;
        let delta = self_metrics::delta_of(&messages.iter().collect::<Vec<_>>(), Dimensions::default(), NOW).unwrap();
        let records = messages.iter().map(|decoded| decoded.record.to_wire()).collect();
        let bytes = CommitRequest { records, delta: Some(delta.to_wire()), contradicting: Vec::new() }.encode_to_vec();
        let commit = Commit::decode(&bytes).unwrap();
        decide(&commit, &BTreeMap::new(), &mut self.book, NOW).unwrap()
    }

    fn count(&self, family: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
        match self.book.state.get(family, &labels)?.value() {
            Value::Counter(count) => Some(*count),
            Value::Histogram(histogram) => Some(histogram.count()),
            Value::FloatCounter(_) | Value::UpDown(_) | Value::Exponential(_) | Value::Gauge(_) => None,
        }
    }

    fn state_bytes(&self) -> usize {
        StoredBook::seal(&self.book).size()
    }

    fn row_bytes(&self) -> usize {
        storage::encode_rows(&self.rows).len()
    }
}

fn id(stream: u64) -> StreamId {
    // Ids are random where they are made; here only distinct.
    StreamId(u128::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

#[test]
fn the_state_does_not_grow_with_streams_and_rows_grow_with_those_alive_only() {
    let mut ledger = Ledger::new();
    // The first commits fill the buckets that the latencies fall into.
    for _ in 0..2_000 {
        ledger.commit(&[0]);
    }
    let mut sizes = Vec::new();
    let mut streams = 1u64;
    for most in [10u64, 1_000, 100_000] {
        while streams < most {
            let batch: Vec<u64> = (streams..most.min(streams + 100)).collect();
            ledger.commit(&batch);
            streams += u64::try_from(batch.len()).unwrap();
        }
        let rows = ledger.rows.len();
        println!(
            "{most} streams: {} bytes of state, {rows} rows of {} bytes",
            ledger.state_bytes(),
            ledger.row_bytes() / rows
        );
        assert_eq!(rows, usize::try_from(most).unwrap());
        assert!(ledger.row_bytes() / rows < 130, "a row is small");
        sizes.push(ledger.state_bytes());
    }
    // Digits of totals, nothing else.
    assert!(sizes[2] < sizes[0] + 64, "{sizes:?}");

    let bounds = StreamBounds { producer: 10_000, ..StreamBounds::default() };
    let (kind, surplus) = ledger.book.surplus(&bounds).unwrap();
    assert_eq!((kind, surplus), (StreamKind::Producer, 90_500));
    let mut oldest: Vec<_> = ledger.rows.iter().map(|(id, row)| (row.last_seen_ms, *id)).collect();
    oldest.sort();
    let forgotten: BTreeMap<_, _> = oldest
        .into_iter()
        .take(usize::try_from(surplus).unwrap())
        .map(|(_, id)| (id, ledger.rows.remove(&id).unwrap()))
        .collect();
    ledger.book.forget(&forgotten, ForgetReason::Bound, NOW + 10_000).unwrap();
    assert_eq!((ledger.rows.len(), ledger.book.surplus(&bounds)), (9_500, None));
    assert!(ledger.state_bytes() < sizes[0] + 64, "forgetting leaves one number behind");
}

#[test]
fn a_million_messages_leave_as_much_state_as_a_few_thousand() {
    let mut ledger = Ledger::new();
    let mut sizes = Vec::new();
    for commit in 0..10_000u64 {
        // A hundred messages of a hundred streams, as a full batch has them.
        let streams: Vec<u64> = (0..100).collect();
        ledger.commit(&streams);
        if commit == 1_999 || commit == 9_999 {
            println!(
                "{} messages: {} bytes of state, {} rows",
                (commit + 1) * 100,
                ledger.state_bytes(),
                ledger.rows.len()
            );
            sizes.push((ledger.state_bytes(), ledger.row_bytes()));
        }
    }
    assert_eq!(ledger.rows.len(), 100);
    assert!(ledger.rows.values().all(|row| row.progress.high_water() == 10_000 && row.progress.gaps().is_empty()));
    // Eight thousand latencies more: buckets of the layout that were empty before, and digits.
    assert!(sizes[1].0 < sizes[0].0 + 512 && sizes[1].1 < sizes[0].1 + 300, "{sizes:?}");
}

/// The message of a stream of its own, as the consumer decodes it.
fn message(stream: u64, resolver_id: &str, telemetry: TelemetryData) -> Decoded {
    let logs = WriteFlagLogsRequest { telemetry_data: Some(telemetry), ..WriteFlagLogsRequest::default() };
    let envelope = Envelope {
        stream_id: id(stream),
        ledgers: 1,
        sequence: 1,
        window_start_ms: NOW - 1,
        window_end_ms: NOW,
        resolver_id: resolver_id.to_owned(),
        dimensions: BTreeMap::new(),
        flag_logs: logs.encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: Vec::new(),
    };
    let body = MessageBody::Bytes(envelope.encode().expect("the queue takes it"));
    decode(&QueueMessage { id: stream.to_string(), sent_ms: NOW, attempts: 1, body }, "eu").unwrap()
}

/// Three initialisations with 32 labels of 1 kB: nearly the whole of a message.
fn hostile_labels(stream: u64) -> Vec<ProviderInitRate> {
    let label = |label: u64, rate: u64| (format!("label_{label}"), format!("{:01024}", stream * 10 + rate));
    (0..3).map(|rate| ProviderInitRate { count: 1, labels: (0..32).map(|name| label(name, rate)).collect() }).collect()
}

/// Latencies in every bucket, and every reason.
fn wide_telemetry() -> TelemetryData {
    let counts = vec![1 << 24; 174];
    let count = counts.iter().sum();
    let buckets = vec![BucketSpan { offset: 0, counts }];
    let latency = ResolveLatency { sum: u32::MAX, count, buckets, ln_ratio: LATENCY_LN_RATIO };
    let resolve_rate = (0..11).map(|reason| ResolveRate { count: u32::MAX, reason }).collect();
    TelemetryData { resolve_latency: Some(latency), resolve_rate, ..TelemetryData::default() }
}

#[test]
fn labels_that_would_pass_the_stored_row_are_refused_and_everything_else_goes_on_counting() {
    let mut ledger = Ledger::new();
    let mut label_bytes = 0;
    let mut refused = 0;
    for batch in 0..10 {
        let messages: Vec<Decoded> = (0..10)
            .map(|message_of| {
                let stream = 1 + batch * 10 + message_of;
                let provider_init_rate = hostile_labels(stream);
                label_bytes +=
                    provider_init_rate.iter().flat_map(|rate| &rate.labels).map(|l| l.1.len()).sum::<usize>();
                message(stream, "eu", TelemetryData { provider_init_rate, ..wide_telemetry() })
            })
            .collect();
        let Decision::Apply { series_refused, .. } = ledger.commit_messages(&messages) else { panic!("in conflict") };
        refused += series_refused;
    }
    assert!(label_bytes > 8_000_000, "{label_bytes} bytes of labels are no danger to the row");
    assert!(ledger.state_bytes() < 700_000, "{} bytes: one family has its share", ledger.state_bytes());
    let inits = ledger.book.state.families().find(|family| family.descriptor().name() == catalog::PROVIDER_INIT.name());
    assert_eq!(inits.unwrap().series().len() + usize::try_from(refused).unwrap(), 300, "each is there or counted");
    assert_eq!(ledger.count(self_metrics::SERIES_REFUSED.name(), &[]), Some(refused));

    // A producer that nobody knew yet, after all that.
    let late = message(5_000, "us", wide_telemetry());
    let Decision::Apply { series_refused: 0, .. } = ledger.commit_messages(&[late]) else { panic!("refused") };
    for (resolver_id, messages) in [("eu", 100), ("us", 1)] {
        let of_resolver = [(catalog::RESOLVER_ID, resolver_id)];
        assert_eq!(ledger.count(catalog::RESOLVE_LATENCY.name(), &of_resolver), Some((messages * 174) << 24));
        assert_eq!(ledger.count(self_metrics::RECORDS_APPLIED.name(), &of_resolver), Some(messages));
        let of_reason = [(catalog::REASON, "RESOLVE_REASON_MATCH"), (catalog::RESOLVER_ID, resolver_id)];
        assert_eq!(ledger.count(catalog::RESOLVES.name(), &of_reason), Some(messages * u64::from(u32::MAX)));
    }
}

#[test]
fn the_stored_row_stays_below_what_sqlite_takes_whatever_messages_carry() {
    let mut ledger = Ledger::new();
    let first = ledger.commit_messages(&[message(8_999, "eu", wide_telemetry())]);
    assert!(matches!(first, Decision::Apply { series_refused: 0, .. }), "{first:?}");
    for batch in 0..30 {
        let messages: Vec<Decoded> = (0..20)
            .map(|message_of| {
                let stream = 1 + batch * 20 + message_of;
                let resolver_id = format!("{stream:r>MAX_RESOLVER_ID_BYTES$}");
                message(
                    stream,
                    &resolver_id,
                    TelemetryData { provider_init_rate: hostile_labels(stream), ..wide_telemetry() },
                )
            })
            .collect();
        let decision = ledger.commit_messages(&messages);
        assert!(matches!(decision, Decision::Apply { .. }), "{decision:?}");
        assert!(ledger.book.state.reserved_bytes() <= MAX_SNAPSHOT_BYTES);
        // The state and the floors around it; a row may have 2 MB.
        assert!(ledger.state_bytes() <= MAX_SNAPSHOT_BYTES + 100, "{} bytes", ledger.state_bytes());
    }
    // Producers beyond the bound share the series of `other`, so labels of initialisations are what fills the state most.
    assert!(ledger.book.state.reserved_bytes() > 1_200_000, "{} bytes", ledger.book.state.reserved_bytes());
    // What was there from the start is there, and grows: the first producer, and every sum of the accounts.
    let before = ledger.count(self_metrics::RECORDS_APPLIED.name(), &[(catalog::RESOLVER_ID, "eu")]).unwrap();
    let refused = ledger.count(self_metrics::SERIES_REFUSED.name(), &[]).unwrap();
    assert!(refused > 1_000, "{refused}");
    let Decision::Apply { series_refused: 0, .. } = ledger.commit_messages(&[message(9_000, "eu", wide_telemetry())])
    else {
        panic!("a series that exists was refused");
    };
    assert_eq!(ledger.count(self_metrics::RECORDS_APPLIED.name(), &[(catalog::RESOLVER_ID, "eu")]), Some(before + 1));
    let applied = ledger.book.state.families().find(|f| f.descriptor().name() == self_metrics::RECORDS_APPLIED.name());
    let applied: u64 = applied
        .unwrap()
        .series()
        .map(|(_, series)| if let Value::Counter(count) = series.value() { *count } else { 0 })
        .sum();
    assert_eq!(applied, 602, "every record is in an account");
    let read = StoredBook::seal(&ledger.book).open().unwrap().state;
    assert_eq!(read, ledger.book.state);
}
