//! Delta temporality: what the collector adds up is what was resolved, whatever fails on the way.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use tempfile::TempDir;
use tributary_tests::{
    collector::{Answer, Collector, Received},
    ledger_file::execute,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, delivery},
    otlp::{add, start, times},
};

const DELTA: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");

/// The sums of everything that was accepted.
fn sums(received: &[Received]) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for received in received.iter().filter(|received| received.is_accepted) {
        add(&mut samples, &received.request().unwrap());
    }
    samples
}

fn resolves(received: &[Received]) -> f64 {
    let sums = sums(received);
    sums.iter().filter(|(series, _)| series.starts_with("confidence_resolves_total{")).map(|(_, value)| value).sum()
}

fn expect_sum(collector: &Collector, expected: f64) -> Vec<Received> {
    eventually(LIMIT * 2, "the sum of all deltas", || {
        let received = collector.received();
        match resolves(&received) {
            sum if sum == expected => Ok(received),
            sum => Err(format!("{sum} instead of {expected}")),
        }
    })
}

/// All points of a request cover one window.
fn window(received: &Received) -> (u64, u64) {
    let times = times(&received.request().unwrap());
    let (_, start, end) = times[0];
    for time in times {
        assert_eq!(time, (AggregationTemporality::Delta, start, end));
    }
    assert!(start < end, "{start} to {end}");
    (start, end)
}

/// Windows of what was accepted follow each other; what was not is sent again as it was, before anything else.
fn check_windows(received: &[Received]) {
    let mut last: Option<(u64, u64)> = None;
    for (n, request) in received.iter().enumerate() {
        if n > 0 && !received[n - 1].is_accepted {
            assert_eq!(request.body, received[n - 1].body, "request {n} is not what it repeats");
        }
        if request.is_accepted {
            let (start, end) = window(request);
            assert!(last.is_none_or(|(_, last)| last == start), "request {n}: {last:?}, then {start}");
            last = Some((start, end));
        }
    }
}

#[test]
fn deltas_add_up_to_what_was_resolved_through_failures_and_a_restart() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    collector.answer_in_turn(vec![
        Answer::status(200),
        Answer::status(503),
        Answer::status(200),
        Answer::Reset,
        Answer::status(401),
        Answer::status(429),
    ]);
    let vars = [DELTA, ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
    let consumer = start(&folder, &backend, &collector, &vars);
    let mut resolved = 0;
    for sequence in 1..=12 {
        let resolves = u32::try_from(sequence).unwrap() * 10;
        consumer.deliver(&[delivery(1, sequence, resolves)]).unwrap();
        resolved += resolves;
        if sequence % 4 == 0 {
            expect_sum(&collector, f64::from(resolved));
        }
    }
    let received = expect_sum(&collector, f64::from(resolved));
    assert!(received.iter().filter(|received| !received.is_accepted).count() >= 4, "no fault was met");

    // The power goes out while a window waits.
    collector.answer(|_| Answer::status(503));
    consumer.deliver(&[delivery(1, 13, 1_000)]).unwrap();
    resolved += 1_000;
    let waiting = eventually(LIMIT, "a window that waits", || {
        let received = collector.received();
        received.last().filter(|last| !last.is_accepted).cloned().ok_or_else(|| "all is accepted".to_owned())
    });
    consumer.kill();
    let before = collector.received().len();
    collector.answer(|_| Answer::status(200));
    let consumer = start(&folder, &backend, &collector, &vars);
    let received = expect_sum(&collector, f64::from(resolved));
    assert_eq!(received[before].body, waiting.body, "what waited comes first, as it was");
    consumer.deliver(&[delivery(1, 14, 7)]).unwrap();
    let received = expect_sum(&collector, f64::from(resolved + 7));
    check_windows(&received);
    assert_eq!(consumer.metrics().unwrap().sum("confidence_resolves_total"), f64::from(resolved + 7));
}

#[test]
fn a_window_whose_answer_died_with_the_runtime_comes_again_as_it_was() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let consumer = Arc::new(start(&folder, &backend, &collector, &[DELTA]));
    consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    expect_sum(&collector, 5.0);

    // The collector takes the window, and before its answer arrives the runtime dies.
    let victim = Arc::clone(&consumer);
    collector.answer(move |received| {
        if resolves(&[Received { is_accepted: true, ..received.clone() }]) > 0.0 {
            victim.crash();
        }
        Answer::status(200)
    });
    // The batch may be answered before the runtime dies or not; it is committed, or the window would not be there.
    drop(consumer.deliver(&[delivery(1, 2, 7)]));
    let before = expect_sum(&collector, 12.0);
    let taken = before.last().unwrap().clone();

    collector.answer(|_| Answer::status(200));
    let consumer = start(&folder, &backend, &collector, &[DELTA]);
    // Delivered again, since the queue may have had no ack.
    consumer.deliver(&[delivery(1, 2, 7), delivery(1, 3, 1)]).unwrap();
    let received = expect_sum(&collector, 20.0);
    let again = &received[before.len()];
    assert_eq!((again.body == taken.body, window(again)), (true, window(&taken)), "the same window, the same bytes");
    // Whoever knows a window that comes twice has what was resolved.
    let mut once = received;
    once.remove(before.len());
    assert_eq!(resolves(&once), 13.0);
    check_windows(&once);
    assert_eq!(consumer.metrics().unwrap().sum("confidence_resolves_total"), 13.0);
}

#[test]
fn a_window_that_does_not_read_back_stops_the_push_and_shows() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let consumer = start(&folder, &backend, &collector, &[DELTA]);
    consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    expect_sum(&collector, 5.0);
    consumer.kill();
    execute(folder.path(), &[("UPDATE otlp_exported SET checksum = checksum + 1", serde_json::json!([]))]).unwrap();

    let consumer = start(&folder, &backend, &collector, &[DELTA]);
    consumer.deliver(&[delivery(1, 2, 7)]).unwrap();
    eventually(LIMIT * 2, "a push that was not sent", || {
        match consumer.metrics()?.get("tributary_otlp_requests_total", &[("outcome", "not_sent")]) {
            count if count >= 1.0 => Ok(()),
            count => Err(count.to_string()),
        }
    });
    assert_eq!(consumer.metrics().unwrap().sum("confidence_resolves_total"), 12.0, "the counts go on");
    assert_eq!(resolves(&collector.received()), 5.0, "nothing is begun anew");
    consumer.kill();

    // Totals need nothing of what is stored.
    let consumer = start(&folder, &backend, &collector, &[]);
    let before = collector.received().len();
    eventually(LIMIT * 2, "the totals", || {
        let received = collector.received();
        match received.get(before..).and_then(<[_]>::last).map(|last| resolves(std::slice::from_ref(last))) {
            Some(12.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    drop(consumer);
}

#[test]
fn a_window_that_is_too_large_arrives_in_parts_and_once() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let limit = 1_500;
    collector.answer(move |received| Answer::status(if received.body.len() > limit { 413 } else { 200 }));
    let consumer = start(&folder, &backend, &collector, &[DELTA]);
    consumer.deliver(&[delivery(1, 1, 5), delivery(2, 1, 6)]).unwrap();
    let received = expect_sum(&collector, 11.0);
    assert!(received.iter().any(|received| !received.is_accepted));
    consumer.deliver(&[delivery(1, 2, 100)]).unwrap();
    let received = expect_sum(&collector, 111.0);
    let mut windows: Vec<_> = received
        .iter()
        .filter(|received| received.is_accepted && !times(&received.request().unwrap()).is_empty())
        .map(window)
        .collect();
    windows.dedup();
    assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{windows:?}");
    assert!(consumer.metrics().unwrap().sum("tributary_otlp_points_total") > 0.0);
}

#[test]
fn low_memory_is_delta_and_json_says_the_same() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 3)]).unwrap();
    expect_sum(&collector, 3.0);
    consumer.deliver(&[delivery(1, 2, 4)]).unwrap();
    check_windows(&expect_sum(&collector, 7.0));
}
