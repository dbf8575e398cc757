//! What a message or a commit can make the consumer allocate: at most a fixed multiple of its size, whatever it says.
//!
//! Alone in its binary, because it counts every allocation of the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "helpers of a test; a global allocator is unsafe to declare"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tributary_consumer::{
    ledger::{
        book::Book,
        commit::{Commit, decide},
    },
    limits::MAX_COMMIT_BYTES,
    message::{MessageBody, QueueMessage, decode},
};
use tributary_proto::{Message as _, envelope::MAX_MESSAGE_BYTES, v1};
use tributary_telemetry::Snapshot;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; the counters are beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests of one binary run at the same time; measurements must not.
static ALONE: Mutex<()> = Mutex::new(());

/// The most bytes that were live at a time during `work`, beyond those before.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    drop(work());
    PEAK.load(Relaxed) - before
}

/// The multiple of its size that a message may make the consumer allocate. The worst is text: an empty assignment is
/// three bytes of JSON and a struct of some 200 in a vector that doubles as it grows.
const PER_MESSAGE_BYTE: usize = 256;

/// The multiple for a commit. The worst is a histogram: a few bytes name a layout of 361 buckets of 8 bytes each.
const PER_COMMIT_BYTE: usize = 512;

/// Reading the worst of these takes some hundred milliseconds in a debug build on two busy cores.
const MOST_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// What small inputs cost whatever their size.
const BASE: usize = 64 << 10;

fn message(body: MessageBody) -> QueueMessage {
    QueueMessage { id: "id".into(), sent_ms: 1, attempts: 1, body }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A length-delimited field.
fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
}

/// `part` over and over, up to so many bytes.
fn filled(part: &[u8], bytes: usize) -> Vec<u8> {
    part.repeat(bytes / part.len())
}

fn envelope(flag_logs: Vec<u8>) -> Vec<u8> {
    let envelope = v1::Envelope {
        format: 1,
        stream_id: vec![7; 16],
        sequence: 1,
        producer: Some(v1::Producer { resolver_id: "r".into(), dimensions: BTreeMap::new() }),
        flag_logs,
        ..v1::Envelope::default()
    };
    envelope.encode_to_vec()
}

fn with_metrics(metrics: &[u8]) -> Vec<u8> {
    let mut message = v1::Envelope::decode(envelope(Vec::new()).as_slice()).unwrap();
    (message.format, message.metrics) = (2, metrics.to_vec());
    message.encode_to_vec()
}

fn with_otlp(resource_metrics: &[u8]) -> Vec<u8> {
    let mut message = v1::Envelope::decode(envelope(Vec::new()).as_slice()).unwrap();
    (message.format, message.resource_metrics) = (4, resource_metrics.to_vec());
    message.encode_to_vec()
}

/// One metric of a scope, with this data: a sum is field 7, a histogram 9, an exponential histogram 10.
fn with_metric(kind: usize, data: &[u8]) -> Vec<u8> {
    let metric = [field(1, b"m"), field(kind, &[data, &[0x10, 1, 0x18, 1]].concat())].concat();
    with_otlp(&field(2, &field(2, &metric)))
}

/// A point of a sum, labelled with a number.
fn point(k: usize) -> Vec<u8> {
    let attribute = [field(1, b"k"), field(2, &field(1, format!("{k:05}").as_bytes()))].concat();
    [field(7, &attribute), vec![0x31, 1, 0, 0, 0, 0, 0, 0, 0]].concat()
}

#[test]
fn a_hostile_message_allocates_at_most_a_fixed_multiple_of_its_size() {
    let _alone = ALONE.lock();
    let room = MAX_MESSAGE_BYTES - 200;
    // What fills telemetry_data (field 2) of the flag logs.
    let telemetry = |part: &[u8]| envelope(field(2, &filled(part, room - 10)));
    let logs = |part: &[u8]| envelope(filled(part, room));
    let text = |part: &str, all: &str| all.replace('@', part.repeat(room / part.len()).trim_end_matches(','));
    let mut worst = 0.0f64;
    let bodies: Vec<(&str, MessageBody)> = vec![
        ("empty assignments", MessageBody::Bytes(logs(&field(1, b"")))),
        ("assignments of empty flags", MessageBody::Bytes(envelope(field(1, &filled(&field(15, b""), room - 10))))),
        ("empty client infos", MessageBody::Bytes(logs(&field(3, b"")))),
        ("empty schemas", MessageBody::Bytes(envelope(field(3, &filled(&field(3, b""), room - 10))))),
        ("empty flag infos", MessageBody::Bytes(logs(&field(4, b"")))),
        ("empty rules", MessageBody::Bytes(envelope(field(4, &filled(&field(3, b""), room - 10))))),
        ("empty rates", MessageBody::Bytes(telemetry(&field(5, b"")))),
        ("rates of every number", {
            let rates: Vec<u8> = (0..room / 10)
                .flat_map(|k| field(5, &[&[0x08, 1, 0x10][..], &varint(k)].concat()))
                .take(room)
                .collect();
            MessageBody::Bytes(envelope(field(2, &rates[..rates.len().min(room - 20)])))
        }),
        ("init rates", {
            let label = |k: usize| [field(1, format!("l{k}").as_bytes()), field(2, b"v")].concat();
            let rates: Vec<u8> =
                (0..room / 24).flat_map(|k| field(9, &[vec![0x08, 1], field(3, &label(k))].concat())).collect();
            MessageBody::Bytes(envelope(field(2, &rates)))
        }),
        ("empty spans", MessageBody::Bytes(envelope(field(2, &field(4, &filled(&field(3, b""), room - 20)))))),
        ("drops", MessageBody::Bytes([envelope(vec![]), filled(&field(8, b""), room)].concat())),
        ("families without anything", MessageBody::Bytes(with_metrics(&filled(&field(1, b""), room)))),
        ("series without anything", MessageBody::Bytes(with_metrics(&field(1, &filled(&field(5, b""), room - 10))))),
        ("labels without anything", {
            MessageBody::Bytes(with_metrics(&field(1, &field(5, &filled(&field(1, b""), room - 20)))))
        }),
        ("histograms of many buckets", {
            let layout = field(1, &[0x08, 18, 0x10, 0xe8, 0x02]);
            let histogram = field(5, &[layout, vec![0x20, 0]].concat());
            let label = |k: usize| field(1, &[field(1, b"k"), field(2, format!("{k:06}").as_bytes())].concat());
            let histograms: Vec<Vec<u8>> = (0..11).map(|k| [label(k), histogram.clone()].concat()).collect();
            MessageBody::Bytes(with_metrics(&metric_set(&histograms, 3)))
        }),
        ("histograms of too many buckets", {
            let layout = field(1, &[0x08, 18, 0x10, 0xe8, 0x02]);
            let histogram = field(5, &[layout, vec![0x20, 0]].concat());
            MessageBody::Bytes(with_metrics(&metric_set(&vec![histogram; room / 16], 3)))
        }),
        ("scopes without anything", MessageBody::Bytes(with_otlp(&filled(&field(2, b""), room)))),
        ("metrics without anything", MessageBody::Bytes(with_otlp(&field(2, &filled(&field(2, b""), room - 10))))),
        ("points without anything", MessageBody::Bytes(with_metric(7, &filled(&field(1, b""), room - 50)))),
        ("attributes without anything", {
            MessageBody::Bytes(with_metric(7, &field(1, &filled(&field(7, b""), room - 50))))
        }),
        ("points of many series", {
            let points: Vec<u8> = (0..room / 30).flat_map(|k| field(1, &point(k))).collect();
            MessageBody::Bytes(with_metric(7, &points))
        }),
        ("points of many series under long labels of their scope", {
            let attribute = |k: u8| [field(1, &[b'a' + k]), field(2, &field(1, &[b'v'; 1_000]))].concat();
            let scope: Vec<u8> = (0..25).flat_map(|k| field(3, &attribute(k))).collect();
            let points: Vec<u8> = (0..(room - 30_000) / 30).flat_map(|k| field(1, &point(k))).collect();
            let metric = [field(1, b"m"), field(7, &[&points[..], &[0x10, 1, 0x18, 1]].concat())].concat();
            MessageBody::Bytes(with_otlp(&field(2, &[field(1, &scope), field(2, &metric)].concat())))
        }),
        ("metrics of many names", {
            let sum = [field(1, &[0x31, 1, 0, 0, 0, 0, 0, 0, 0]), vec![0x10, 1, 0x18, 1]].concat();
            let metric = |k: usize| field(2, &[field(1, format!("m{k}").as_bytes()), field(7, &sum)].concat());
            MessageBody::Bytes(with_otlp(&field(2, &(0..room / 30).flat_map(metric).collect::<Vec<u8>>())))
        }),
        ("a histogram of too many buckets", {
            MessageBody::Bytes(with_metric(9, &field(1, &field(6, &filled(&[0; 8], room - 50)))))
        }),
        ("an exponential histogram of too many buckets", {
            let buckets = field(8, &field(2, &filled(&[1], room - 60)));
            let count = [vec![0x21], u64::try_from(room - 60).unwrap().to_le_bytes().to_vec()].concat();
            MessageBody::Bytes(with_metric(10, &field(1, &[count, buckets].concat())))
        }),
        ("exponential histograms of a few bytes", {
            let buckets = field(8, &[0x08, 2, 0x12, 1, 1]);
            let histogram =
                |scale: u8| field(1, &[&[0x21, 1, 0, 0, 0, 0, 0, 0, 0, 0x30, scale][..], &buckets].concat());
            MessageBody::Bytes(with_metric(
                10,
                &(0..room / 24).flat_map(|k| histogram(u8::try_from(k % 40).unwrap())).collect::<Vec<u8>>(),
            ))
        }),
        ("deep attributes", {
            let deep = (0..20).fold(field(1, b"x"), |inner, _| field(5, &field(1, &inner)));
            let attribute = field(7, &[field(1, b"k"), field(2, &deep)].concat());
            MessageBody::Bytes(with_metric(7, &filled(&field(1, &attribute), room - 50)))
        }),
        ("garbage", MessageBody::Bytes(vec![0x0a; room])),
        ("a length that lies", MessageBody::Bytes([vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x07], vec![0; 50]].concat())),
        ("text of empty assignments", MessageBody::Text(text("{},", "{\"flagAssigned\":[@]}"))),
        ("text of empty flag infos", MessageBody::Text(text("{},", "{\"flagResolveInfo\":[@]}"))),
        ("text of empty rates", MessageBody::Text(text("{},", "{\"telemetryData\":{\"resolveRate\":[@]}}"))),
        (
            "text of empty spans",
            MessageBody::Text(text("{},", "{\"telemetryData\":{\"resolveLatency\":{\"buckets\":[@]}}}")),
        ),
        ("text of unknown fields", MessageBody::Text(text("[],", "{\"unknown\":[@]}"))),
        ("deep text", MessageBody::Text("[".repeat(room))),
    ];
    for (name, body) in bodies {
        let size = match &body {
            MessageBody::Bytes(bytes) => bytes.len(),
            MessageBody::Text(text) | MessageBody::Json(text) => text.len(),
            MessageBody::Other => 0,
        };
        assert!(size <= MAX_MESSAGE_BYTES, "{name}: {size} bytes would not get as far");
        let message = message(body);
        let started = std::time::Instant::now();
        let peak = peak(|| decode(&message, "r"));
        assert!(started.elapsed() < MOST_TIME, "{name}: {:?}", started.elapsed());
        let multiple = f64::from(u32::try_from(peak).unwrap()) / f64::from(u32::try_from(size).unwrap());
        println!("{name}: {size} bytes, peak {peak}, {multiple:.0} times");
        if size > 1_000 {
            worst = worst.max(multiple);
        }
        assert!(peak <= BASE + PER_MESSAGE_BYTE * size, "{name}: {size} bytes made {peak} live");
    }
    assert!(worst > 20.0, "nothing here is hostile: the test proves nothing");
}

fn metric_set(series: &[Vec<u8>], kind: u8) -> Vec<u8> {
    let series: Vec<u8> = series.iter().flat_map(|series| field(5, series)).collect();
    field(1, &[field(1, b"f"), vec![0x20, kind], series].concat())
}

#[test]
fn a_hostile_commit_allocates_at_most_a_fixed_multiple_of_its_size() {
    let _alone = ALONE.lock();
    let record = {
        let record = v1::commit_request::Record {
            stream_id: vec![1; 16],
            sequence: 1,
            window_end_ms: 1,
            kind: 1,
            resolver_id: "r".into(),
        };
        field(1, &record.encode_to_vec())
    };
    let label = |k: usize| field(1, &[field(1, b"k"), field(2, format!("{k:06}").as_bytes())].concat());
    // 361 buckets, the most that a few bytes can name.
    let layout = field(1, &[0x08, 18, 0x10, 0xe8, 0x02]);
    let histogram = field(5, &[layout, vec![0x20, 0]].concat());
    let histograms: Vec<Vec<u8>> = (0..2_000).map(|k| [label(k), histogram.clone()].concat()).collect();
    let counters: Vec<Vec<u8>> = (0..20_000).map(|k| [label(k), vec![0x18, 1]].concat()).collect();
    let inputs: Vec<(&str, Vec<u8>)> = vec![
        ("histograms", [record.clone(), field(2, &metric_set(&histograms, 3))].concat()),
        ("counters", [record.clone(), field(2, &metric_set(&counters, 1))].concat()),
        ("empty records", filled(&field(1, b""), 200_000)),
        ("empty families", [record.clone(), field(2, &filled(&field(1, b""), 200_000))].concat()),
        ("empty series", [record.clone(), field(2, &field(1, &filled(&field(5, b""), 200_000)))].concat()),
        ("empty labels", [record.clone(), field(2, &field(1, &field(5, &filled(&field(1, b""), 200_000))))].concat()),
        ("one record over and over", filled(&record, 200_000)),
    ];
    let mut worst = 0;
    for (name, bytes) in inputs {
        assert!(bytes.len() <= MAX_COMMIT_BYTES);
        let mut book = Book::new("r", 1_000).unwrap();
        let peak = peak(|| {
            let commit = Commit::decode(&bytes).ok()?;
            decide(&commit, &BTreeMap::new(), &mut book, 1_000).ok()
        });
        println!("{name}: {} bytes, peak {peak}, {} times", bytes.len(), peak / bytes.len());
        worst = worst.max(peak / bytes.len());
        assert!(peak <= BASE + PER_COMMIT_BYTE * bytes.len(), "{name}: {} bytes made {peak} live", bytes.len());
        let series = book.state.series_count();
        assert!(series < 1_200, "{series} series: one family is bounded");
    }
    assert!(worst > 20, "nothing here is hostile: the test proves nothing");
}

#[test]
fn a_stored_state_that_lies_about_its_size_allocates_at_most_a_fixed_multiple_of_it() {
    let _alone = ALONE.lock();
    for part in [&b"\x2a\x00"[..], b"\x0a\x00", b"\x2a\xff\xff\xff\x7f", b"\xff"] {
        let bytes = filled(part, 200_000);
        let peak = peak(|| Snapshot::decode(&bytes));
        assert!(peak <= BASE + PER_COMMIT_BYTE * bytes.len(), "{part:?}: {peak}");
    }
}
