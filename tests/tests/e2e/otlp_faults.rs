//! The OTLP push against a collector that has a bad day: what is tried again, when, and that nothing else notices.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use tempfile::TempDir;
use tributary_proto::Message as _;
use tributary_telemetry::otlp::requests::data_points;
use tributary_tests::{
    collector::{Answer, Collector, Received},
    consumer::Consumer,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, delivery, expect_resolves},
    otlp::{expect_accepted, start},
};

fn outcomes(consumer: &Consumer, outcome: &str) -> f64 {
    consumer.metrics().unwrap().get("tributary_otlp_requests_total", &[("outcome", outcome)])
}

fn points(consumer: &Consumer, outcome: &str) -> f64 {
    consumer.metrics().unwrap().get("tributary_otlp_points_total", &[("outcome", outcome)])
}

/// Time between a request and the one after it.
fn gap(received: &[Received], after: usize) -> Duration {
    received[after + 1].at.duration_since(received[after].at).unwrap()
}

/// `Date` of HTTP (RFC 9110), by Python.
fn http_date(from_now_secs: i64) -> String {
    let script =
        format!("import email.utils, time; print(email.utils.formatdate(time.time() + {from_now_secs}, usegmt=True))");
    let output = std::process::Command::new("python3").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_may_pass_is_tried_again_before_the_next_interval_and_not_before_the_collector_asked() {
    const INTERVAL: Duration = Duration::from_secs(6);
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    // What is asked for, and the least wait that follows from it; without anything it is the first backoff.
    let backoff = Duration::from_millis(450);
    let faults = [
        (Answer::retry_after(503, "2"), Duration::from_millis(1_950)),
        // A date has whole seconds, so up to one of these three is lost.
        (Answer::retry_after(429, &http_date(3)), backoff),
        (Answer::retry_after(502, "soon"), backoff),
        (Answer::retry_after(504, &http_date(-3_600)), backoff),
        (Answer::Reset, backoff),
        (Answer::Hang, Duration::from_millis(900)),
    ];
    // A failure, then success, so that each failure is the first.
    let mut script =
        faults.clone().into_iter().flat_map(|(fault, _)| [fault, Answer::status(200)]).collect::<Vec<_>>().into_iter();
    collector.answer(move |_| match script.next() {
        // Its own time counts from when it is given.
        Some(Answer::Status(429, ..)) => Answer::retry_after(429, &http_date(3)),
        Some(answer) => answer,
        None => Answer::status(200),
    });
    let interval = INTERVAL.as_millis().to_string();
    let vars = [("OTEL_METRIC_EXPORT_INTERVAL", interval.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 1)]).unwrap();
    let received = eventually(Duration::from_secs(90), "all answers given", || match collector.received() {
        received if received.len() >= 2 * faults.len() => Ok(received),
        received => Err(format!("{} requests", received.len())),
    });
    for (n, (fault, least)) in faults.iter().enumerate() {
        let waited = gap(&received, 2 * n);
        assert!(waited >= *least, "{fault:?}: {waited:?}");
        assert!(waited < INTERVAL - Duration::from_secs(1), "{fault:?}: {waited:?} is no retry");
        if let Answer::Status(429, ..) = fault {
            assert!(waited >= Duration::from_millis(1_950), "{waited:?}");
        }
        if n + 1 < faults.len() {
            let waited = gap(&received, 2 * n + 1);
            assert!(waited >= INTERVAL - Duration::from_millis(500), "after success: {waited:?}");
        }
    }
    eventually(LIMIT, "the count of failures", || match outcomes(&consumer, "unavailable") {
        6.0 => Ok(()),
        count => Err(count.to_string()),
    });
    assert_eq!((outcomes(&consumer, "refused"), points(&consumer, "dropped")), (0.0, 0.0));
}

#[test]
fn what_is_refused_waits_for_the_next_interval_and_is_counted() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let partial = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "three".into() }),
    };
    let answers = vec![
        Answer::retry_after(400, "0"),
        Answer::status(401),
        Answer::status(403),
        Answer::status(404),
        Answer::status(500),
        Answer::Status(307, vec![("Location".into(), format!("{}/elsewhere", collector.url()))], Vec::new()),
        Answer::Status(200, Vec::new(), partial.encode_to_vec()),
        Answer::Slow,
        Answer::Huge(3_000_000),
    ];
    let count = answers.len();
    collector.answer_in_turn(answers);
    let interval = INTERVAL.as_millis().to_string();
    let vars = [("OTEL_METRIC_EXPORT_INTERVAL", interval.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 1)]).unwrap();
    let received = expect_accepted(&collector, 4);
    for n in 0..count {
        let waited = gap(&received, n);
        // One request an interval, whatever the answer: nothing is repeated, a redirect not followed.
        assert!(waited >= INTERVAL - Duration::from_millis(500), "answer {n}: {waited:?}");
        assert_eq!(received[n].path, "/v1/metrics");
    }
    let metrics = eventually(LIMIT, "the counts", || {
        let metrics = consumer.metrics()?;
        let count = |outcome| metrics.get("tributary_otlp_requests_total", &[("outcome", outcome)]);
        let found = ["unauthorized", "refused", "partial", "unavailable"].map(count);
        if found == [2.0, 4.0, 1.0, 0.0] && count("accepted") >= 3.0 { Ok(metrics) } else { Err(format!("{found:?}")) }
    });
    let points = |outcome| metrics.get("tributary_otlp_points_total", &[("outcome", outcome)]);
    assert_eq!(points("rejected"), 3.0);
    // Of what was refused only the 400 speaks of what was sent.
    let first = data_points(&received[0].request().unwrap());
    assert_eq!(points("dropped"), f64::from(u32::try_from(first).unwrap()));
}

#[test]
fn what_is_too_large_comes_in_smaller_requests_until_all_of_it_is_there() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let limit = 4_000;
    collector.answer(move |received| Answer::status(if received.body.len() > limit { 413 } else { 200 }));
    let vars = [("OTEL_METRIC_EXPORT_INTERVAL", "600000")];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 1)]).unwrap();
    let taken = |received: &[Received]| -> u64 {
        let taken = received.iter().filter(|received| received.is_accepted);
        taken.map(|received| data_points(&received.request().unwrap())).sum()
    };
    let received = eventually(LIMIT, "all points", || {
        let received = collector.received();
        let all = data_points(&received.first().ok_or("nothing yet")?.request()?);
        match taken(&received) {
            taken if taken == all => Ok(received),
            taken => Err(format!("{taken} of {all}")),
        }
    });
    assert!(received[0].body.len() > 2 * limit, "the first has everything");
    assert!(received.iter().filter(|received| received.is_accepted).all(|received| received.body.len() <= limit));
    let refused = received.iter().filter(|received| !received.is_accepted).count();
    eventually(LIMIT, "the counts", || {
        let found = (outcomes(&consumer, "too_large"), points(&consumer, "dropped"));
        if found == (f64::from(u32::try_from(refused).unwrap()), 0.0) { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn a_collector_that_hangs_holds_up_neither_deltas_nor_metrics() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    collector.answer(|_| Answer::Hang);
    // The published copy, so that the alarm has to go on.
    let vars = [("OTEL_EXPORTER_OTLP_TIMEOUT", "45000"), ("METRICS_SOURCE", "kv")];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 1)]).unwrap();
    eventually(LIMIT, "the request that hangs", || {
        if collector.received().is_empty() { Err("none".into()) } else { Ok(()) }
    });
    let hung = SystemTime::now();
    for sequence in 2..6 {
        let began = Instant::now();
        let result = consumer.deliver(&[delivery(1, sequence, 1)]).unwrap();
        assert_eq!(result.explicit_acks.len(), 1);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        expect_resolves(&consumer, f64::from(u32::try_from(sequence).unwrap()));
    }
    // All of that while the first request still hangs.
    assert_eq!(collector.received().len(), 1);
    assert!(hung.elapsed().unwrap() < Duration::from_secs(40));
}

#[test]
fn without_a_collector_everything_else_goes_on_and_it_is_counted() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9/v1/metrics"), ("METRICS_SOURCE", "kv")];
    let consumer = start(&folder, &backend, &collector, &vars);
    consumer.deliver(&[delivery(1, 1, 1)]).unwrap();
    expect_resolves(&consumer, 1.0);
    eventually(LIMIT, "two failures", || match outcomes(&consumer, "unavailable") {
        count if count >= 2.0 => Ok(()),
        count => Err(count.to_string()),
    });
    assert_eq!(collector.received().len(), 0);
    assert_eq!(consumer.metrics().unwrap().sum("tributary_otlp_last_success_timestamp_seconds"), 0.0);
}
