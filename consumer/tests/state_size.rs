//! The state does not grow with the isolates or the messages seen; rows grow with the streams alive, and no further.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use std::collections::BTreeMap;

use tributary_consumer::ledger::{
    book::{Book, ForgetReason},
    commit::{Commit, Decision, Record, StreamKind, StreamRow, decide},
    floor::StreamBounds,
    storage::{self, StoredState},
};
use tributary_proto::envelope::StreamId;
use tributary_telemetry::confidence::TelemetryDelta;

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
        let commit = Commit { records, delta: telemetry.to_delta("eu", NOW).unwrap() };
        let known = commit.streams().into_iter().filter_map(|id| Some((id, self.rows.get(&id)?.clone()))).collect();
        let decision = decide(&commit, &known, &mut self.book, NOW + self.commits).unwrap();
        let Decision::Apply { rows, .. } = decision else { panic!("{decision:?}") };
        self.rows.extend(rows);
    }

    fn state_bytes(&self) -> usize {
        StoredState::seal(&self.book).bytes.len()
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
