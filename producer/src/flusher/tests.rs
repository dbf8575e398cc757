use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tributary_proto::envelope::Envelope;
use tributary_proto::events::FlagAssigned;
use tributary_proto::flag_logs::{SdkId, sdk};
use tributary_proto::v1;

use super::*;
use crate::fragment::Fragment;
use crate::limits::{
    IN_FLIGHT_MS, LEASE_GRACE_MS, MAX_BUFFER_BYTES, MAX_FLUSH_INTERVAL_MS, MAX_FRAGMENT_BYTES, MAX_OUTBOX_MESSAGES,
    MAX_PENDING_ASSIGNMENTS,
};

const NO_READINGS: Readings = Readings { memory_bytes: None, state_changed_ms: None };

fn flusher() -> Flusher {
    Flusher::new(Identity {
        stream_id: StreamId([7; 16]),
        ledgers: 1,
        resolver_id: "test".to_owned(),
        dimensions: BTreeMap::from([("colo".to_owned(), "AMS".to_owned())]),
        sdk: Sdk { sdk: Some(sdk::Sdk::Id(i32::from(SdkId::CloudflareResolver))), version: "1.2.3".to_owned() },
        resolver_version: "9.9.9".to_owned(),
    })
}

/// A fragment that holds one assignment event with this id, of about `bytes` bytes.
fn fragment(id: &str, bytes: usize) -> Fragment {
    let assigned = FlagAssigned { resolve_id: format!("{id}:{}", "x".repeat(bytes)), ..Default::default() };
    let request = WriteFlagLogsRequest { flag_assigned: vec![assigned], ..Default::default() };
    Fragment { bytes: request.encode_to_vec(), assignments: 1 }
}

fn cut_of(fragments: Vec<Fragment>) -> Cut {
    Cut { fragments, ..Cut::default() }
}

/// A consumer: takes messages in any order and any number of times, applies each sequence once.
#[derive(Default)]
struct Receiver {
    sequences: BTreeSet<u64>,
    telemetry: TelemetryDelta,
    assignments: Vec<String>,
    dropped: BTreeMap<i32, u64>,
    largest_bytes: usize,
}

impl Receiver {
    fn take(&mut self, bytes: &[u8]) {
        self.largest_bytes = self.largest_bytes.max(bytes.len());
        let envelope = Envelope::decode(bytes).unwrap();
        assert_eq!(envelope.stream_id, StreamId([7; 16]));
        assert_eq!(envelope.resolver_id, "test");
        assert_eq!(envelope.dimensions["colo"], "AMS");
        if !self.sequences.insert(envelope.sequence) {
            return;
        }
        let logs = envelope.flag_logs().unwrap();
        if let Some(telemetry) = &logs.telemetry_data {
            assert_eq!(telemetry.resolver_version, "9.9.9");
            assert!(telemetry.sdk.is_some());
            let (delta, _) = TelemetryDelta::from_wire(telemetry, 0).unwrap();
            self.telemetry.merge(&delta).unwrap();
        }
        for assigned in logs.flag_assigned {
            self.assignments.push(assigned.resolve_id.split(':').next().unwrap().to_owned());
        }
        for dropped in envelope.dropped {
            *self.dropped.entry(dropped.reason).or_default() += dropped.assignments;
        }
    }

    fn take_all(&mut self, attempt: &Attempt) -> Vec<u64> {
        attempt.messages.iter().for_each(|(_, bytes)| self.take(bytes));
        attempt.messages.iter().map(|(sequence, _)| *sequence).collect()
    }

    fn has_no_holes(&self) -> bool {
        self.sequences.iter().copied().eq(1..=u64::try_from(self.sequences.len()).unwrap())
    }
}

#[test]
fn the_first_push_of_a_window_is_the_flusher_and_the_others_follow() {
    let mut flusher = flusher();
    let Role::Flusher(lease) = flusher.push(1_000, 0, 1_000) else { panic!("no flusher") };
    assert_eq!(flusher.push(1_500, 0, 1_000), Role::Follower);
    assert_eq!(flusher.push(1_999, 0, 1_000), Role::Follower);
    flusher.observe(10, &[1]);
    assert_eq!(flusher.seal(2_000, Cut::default(), NO_READINGS, Some(lease)).messages, 1);
    assert!(matches!(flusher.push(2_000, 0, 1_000), Role::Flusher(_)));
}

#[test]
fn an_expired_lease_is_taken_over_and_the_late_flusher_does_no_harm() {
    let mut flusher = flusher();
    let Role::Flusher(first) = flusher.push(0, 0, 1_000) else { panic!("no flusher") };
    assert_eq!(flusher.push(1_000 + LEASE_GRACE_MS, 0, 1_000), Role::Follower);
    let Role::Flusher(second) = flusher.push(1_001 + LEASE_GRACE_MS, 0, 1_000) else { panic!("no takeover") };
    assert_ne!(first, second);
    flusher.observe(10, &[1]);
    // The first one wakes up after all: it seals, and the second keeps its lease.
    assert_eq!(flusher.seal(7_000, Cut::default(), NO_READINGS, Some(first)).messages, 1);
    assert_eq!(flusher.push(7_000, 0, 1_000), Role::Follower);
    assert_eq!(flusher.seal(7_001, Cut::default(), NO_READINGS, Some(second)).messages, 0);
}

#[test]
fn a_lease_ends_before_wait_until_does_and_a_clock_set_back_does_not_freeze_it() {
    let mut flusher = flusher();
    assert!(matches!(flusher.push(1_000_000, 0, MAX_FLUSH_INTERVAL_MS), Role::Flusher(_)));
    assert!(matches!(flusher.push(1_030_000, 0, MAX_FLUSH_INTERVAL_MS), Role::Flusher(_)));
    assert!(matches!(flusher.push(5, 0, MAX_FLUSH_INTERVAL_MS), Role::Flusher(_)));
    assert!(matches!(flusher.push(u64::MAX, 0, MAX_FLUSH_INTERVAL_MS), Role::Flusher(_)));
}

#[test]
fn an_interval_of_zero_and_a_full_log_seal_at_once() {
    let mut flusher = flusher();
    assert_eq!(flusher.push(0, 0, 0), Role::SealNow);
    assert_eq!(flusher.push(0, MAX_PENDING_ASSIGNMENTS, 1_000), Role::SealNow);
    assert!(matches!(flusher.push(0, MAX_PENDING_ASSIGNMENTS - 1, 1_000), Role::Flusher(_)));
}

#[test]
fn an_idle_window_sends_nothing() {
    let mut flusher = flusher();
    flusher.push(0, 0, 1_000);
    let readings = Readings { memory_bytes: Some(1), state_changed_ms: Some(1) };
    assert_eq!(flusher.seal(1_000, Cut::default(), readings, None), Sealed::default());
    assert!(flusher.take(1_000).messages.is_empty());
}

#[test]
fn a_window_becomes_one_envelope_with_everything_in_it() {
    let mut flusher = flusher();
    flusher.push(1_000, 0, 1_000);
    flusher.observe(10, &[1, 1, 2]);
    flusher.push(1_200, 0, 1_000);
    flusher.observe(1_000, &[10]);
    let readings = Readings { memory_bytes: Some(65_536), state_changed_ms: Some(900) };
    let sealed = flusher.seal(2_000, cut_of(vec![fragment("a", 10), fragment("b", 10)]), readings, None);
    assert_eq!(sealed, Sealed { messages: 1, ..Sealed::default() });
    let attempt = flusher.take(2_000);
    assert_eq!(attempt.messages.len(), 1);
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    assert_eq!((envelope.sequence, envelope.window_start_ms, envelope.window_end_ms), (1, 1_000, 2_000));
    let logs = envelope.flag_logs().unwrap();
    assert_eq!(logs.flag_assigned.len(), 2);
    let telemetry = logs.telemetry_data.unwrap();
    assert_eq!(telemetry.resolve_latency.unwrap().count, 2);
    let mut rates: Vec<_> = telemetry.resolve_rate.iter().map(|rate| (rate.reason, rate.count)).collect();
    rates.sort_unstable();
    assert_eq!(rates, vec![(1, 2), (2, 1), (10, 1)]);
    assert_eq!(telemetry.memory_bytes, 65_536);
    assert_eq!(telemetry.state_age.unwrap().last_state_update, 900);
    assert_eq!(telemetry.sdk.unwrap().sdk, Some(sdk::Sdk::Id(25)));
    assert_eq!(telemetry.resolver_version, "9.9.9");
}

#[test]
fn a_message_in_flight_is_not_sent_twice_and_an_abandoned_one_is_sent_again_unchanged() {
    let mut flusher = flusher();
    flusher.observe(1, &[1]);
    flusher.seal(0, Cut::default(), NO_READINGS, None);
    let first = flusher.take(0);
    assert_eq!(first.messages.len(), 1);
    assert!(flusher.take(IN_FLIGHT_MS - 1).messages.is_empty());
    let second = flusher.take(IN_FLIGHT_MS);
    assert_eq!(second.messages, first.messages);
    // The first flusher reports its failure late: the second keeps its hold.
    flusher.release(first.id, &[1]);
    assert!(flusher.take(IN_FLIGHT_MS + 1).messages.is_empty());
    flusher.release(second.id, &[1]);
    let third = flusher.take(IN_FLIGHT_MS + 2);
    assert_eq!(third.messages, first.messages);
    flusher.confirm(&[1]);
    flusher.confirm(&[1]);
    assert!(flusher.take(u64::MAX).messages.is_empty());
}

#[test]
fn a_failed_send_keeps_its_sequence_and_the_next_window_gets_the_next() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    flusher.observe(1, &[1]);
    flusher.seal(0, Cut::default(), NO_READINGS, None);
    let failed = flusher.take(0);
    flusher.release(failed.id, &[1]);
    flusher.observe(2, &[1]);
    flusher.seal(1, Cut::default(), NO_READINGS, None);
    let both = flusher.take(1);
    let sequences = receiver.take_all(&both);
    assert_eq!(sequences, vec![1, 2]);
    assert_eq!(receiver.telemetry.latency().count(), 2);
}

#[test]
fn a_window_over_the_size_of_a_message_is_split_and_loses_nothing() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    flusher.observe(1, &[1]);
    let fragments = (0..50).map(|index| fragment(&index.to_string(), 10_000)).collect();
    let sealed = flusher.seal(0, cut_of(fragments), NO_READINGS, None);
    assert!((5..=6).contains(&sealed.messages), "{sealed:?}");
    receiver.take_all(&flusher.take(0));
    assert!(receiver.largest_bytes <= tributary_proto::envelope::MAX_ENVELOPE_BYTES);
    assert_eq!(receiver.assignments, (0..50).map(|index| index.to_string()).collect::<Vec<_>>());
    assert!(receiver.has_no_holes());
    assert_eq!(receiver.telemetry.latency().count(), 1);
}

#[test]
fn a_fragment_of_the_greatest_size_fits_an_envelope() {
    let mut flusher = flusher();
    let mut greatest = fragment("a", 1);
    let padding = MAX_FRAGMENT_BYTES - fragment("a", 100_000).bytes.len() + 100_000;
    greatest = if padding > 0 { fragment("a", padding) } else { greatest };
    assert_eq!(greatest.bytes.len(), MAX_FRAGMENT_BYTES);
    flusher.observe(1, &[1]);
    let cut = Cut { fragments: vec![greatest], oversize_assignments: u64::MAX, oversize_records: 0 };
    let sealed = flusher.seal(u64::MAX, cut, NO_READINGS, None);
    assert_eq!((sealed.messages, sealed.error), (2, None));
}

#[test]
fn oversize_assignments_are_reported_even_if_nothing_else_happened() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    let too_large = Fragment { bytes: vec![0; MAX_FRAGMENT_BYTES + 1], assignments: 3 };
    let cut = Cut { fragments: vec![too_large], oversize_assignments: 2, oversize_records: 0 };
    assert_eq!(flusher.seal(0, cut, NO_READINGS, None).messages, 1);
    receiver.take_all(&flusher.take(0));
    assert_eq!(receiver.dropped, BTreeMap::from([(i32::from(v1::dropped::Reason::Oversize), 5)]));
    assert!(flusher.seal(0, Cut::default(), NO_READINGS, None).messages == 0);
}

#[test]
fn totals_over_32_bits_go_out_in_several_envelopes() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    for _ in 0..3 {
        flusher.observe(u32::MAX, &[1]);
    }
    let sealed = flusher.seal(0, Cut::default(), NO_READINGS, None);
    assert!(sealed.messages >= 3, "{sealed:?}");
    receiver.take_all(&flusher.take(0));
    assert_eq!(receiver.telemetry.latency().count(), 3);
    assert_eq!(receiver.telemetry.latency().sum_micros(), 3 * u64::from(u32::MAX));
    assert!(receiver.has_no_holes());
}

#[test]
fn a_queue_that_is_down_costs_flag_logs_but_never_a_metric() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    let mut lost = 0;
    let mut windows = 0_u64;
    for window in 0..400_u64 {
        flusher.observe(10, &[1]);
        let fragments = (0..5).map(|index| fragment(&format!("{window}-{index}"), 10_000)).collect();
        let sealed = flusher.seal(window * 1_000, cut_of(fragments), NO_READINGS, None);
        lost += sealed.assignments_given_up;
        windows += 1;
        let attempt = flusher.take(window * 1_000);
        let sequences: Vec<u64> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
        flusher.release(attempt.id, &sequences);
        assert!(flusher.stream.outbox().len() <= MAX_OUTBOX_MESSAGES);
        assert!(flusher.stream.buffered_bytes() <= MAX_BUFFER_BYTES);
    }
    assert!(lost > 0);
    // The queue is back.
    while !flusher.stream.outbox().is_empty() || !flusher.stream.is_empty() || !flusher.telemetry.is_empty() {
        flusher.seal(400_000, Cut::default(), NO_READINGS, None);
        let sequences = receiver.take_all(&flusher.take(400_000));
        flusher.confirm(&sequences);
    }
    assert_eq!(receiver.telemetry.latency().count(), windows);
    assert!(receiver.has_no_holes());
    let reported: u64 = receiver.dropped.values().sum();
    assert_eq!(reported, lost);
    assert_eq!(u64::try_from(receiver.assignments.len()).unwrap() + lost, windows * 5);
    assert_eq!(receiver.dropped.keys().collect::<Vec<_>>(), vec![&i32::from(v1::dropped::Reason::BufferFull)]);
}

#[test]
fn a_tombstone_after_a_full_message_that_did_arrive_counts_nothing_twice() {
    let mut flusher = flusher();
    let mut receiver = Receiver::default();
    flusher.observe(1, &[1]);
    flusher.seal(0, cut_of(vec![fragment("a", 10)]), NO_READINGS, None);
    let attempt = flusher.take(0);
    receiver.take_all(&attempt);
    // The queue took it, but the answer was lost; then the bound was passed.
    flusher.release(attempt.id, &[1]);
    assert_eq!(flusher.stream.give_up_oldest_logs(), Some(1));
    assert_eq!(flusher.stream.give_up_oldest_logs(), None);
    receiver.take_all(&flusher.take(1));
    assert_eq!(receiver.assignments, vec!["a"]);
    assert!(receiver.dropped.is_empty());
    assert_eq!(receiver.telemetry.latency().count(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Push { micros: u32, reasons: Vec<i32>, assignments: Vec<usize> },
    Seal,
    Take,
    Confirm { attempt: usize, lost_answer: bool },
    Fail { attempt: usize, arrived: bool },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u32>(), proptest::collection::vec(-1..13_i32, 0..4), proptest::collection::vec(0..60_000_usize, 0..4))
            .prop_map(|(micros, reasons, assignments)| Step::Push { micros, reasons, assignments }),
        3 => Just(Step::Seal),
        3 => Just(Step::Take),
        2 => (0..4_usize, any::<bool>()).prop_map(|(attempt, lost_answer)| Step::Confirm { attempt, lost_answer }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(attempt, arrived)| Step::Fail { attempt, arrived }),
        1 => (0..20_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever the order of pushes, seals, sends that succeed, fail, or fail after all arrived, and flushers that are
    /// cut off: what a consumer that applies each sequence once gets is what was pushed.
    #[test]
    fn everything_pushed_arrives_once_in_any_interleaving(steps in proptest::collection::vec(step(), 0..120)) {
        let mut flusher = flusher();
        let mut receiver = Receiver::default();
        let mut pushed = TelemetryDelta::new();
        let mut expected = BTreeSet::new();
        // What the resolver's loggers hold, and the attempts in the air.
        let mut logged: Vec<Fragment> = Vec::new();
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut now_ms = 1_000_000;
        let mut next_id = 0_u64;
        let mut lost = 0_u64;
        for step in steps {
            match step {
                Step::Push { micros, reasons, assignments } => {
                    pushed.observe_latency(micros);
                    reasons.iter().for_each(|reason| pushed.add_resolves(*reason, 1));
                    flusher.observe(micros, &reasons);
                    for bytes in assignments {
                        next_id += 1;
                        expected.insert(next_id.to_string());
                        logged.push(fragment(&next_id.to_string(), bytes));
                    }
                    flusher.push(now_ms, 0, 1_000);
                }
                Step::Seal => {
                    let sealed = flusher.seal(now_ms, cut_of(std::mem::take(&mut logged)), NO_READINGS, None);
                    prop_assert_eq!(sealed.error, None);
                    lost += sealed.assignments_given_up;
                }
                Step::Take => attempts.push(flusher.take(now_ms)),
                Step::Confirm { attempt, lost_answer } if attempt < attempts.len() => {
                    let attempt = attempts.swap_remove(attempt);
                    let sequences = receiver.take_all(&attempt);
                    // Without an answer the flusher is cut off: nobody confirms and nobody releases.
                    if !lost_answer {
                        flusher.confirm(&sequences);
                    }
                }
                Step::Fail { attempt, arrived } if attempt < attempts.len() => {
                    let attempt = attempts.swap_remove(attempt);
                    if arrived {
                        receiver.take_all(&attempt);
                    }
                    let sequences: Vec<u64> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
                    flusher.release(attempt.id, &sequences);
                }
                Step::Pass(millis) => now_ms += millis,
                Step::Confirm { .. } | Step::Fail { .. } => {}
            }
            prop_assert!(flusher.stream.buffered_bytes() <= MAX_BUFFER_BYTES);
        }
        // Calm: the attempts in the air were cut off, their holds expire, and flushes succeed.
        for _ in 0..200 {
            now_ms += IN_FLIGHT_MS;
            lost += flusher.seal(now_ms, cut_of(std::mem::take(&mut logged)), NO_READINGS, None).assignments_given_up;
            let sequences = receiver.take_all(&flusher.take(now_ms));
            flusher.confirm(&sequences);
        }
        prop_assert!(flusher.stream.outbox().is_empty());
        prop_assert!(receiver.has_no_holes());
        prop_assert!(receiver.largest_bytes <= tributary_proto::envelope::MAX_ENVELOPE_BYTES);
        prop_assert_eq!(&receiver.telemetry, &pushed);
        let arrived: BTreeSet<String> = receiver.assignments.iter().cloned().collect();
        prop_assert_eq!(arrived.len(), receiver.assignments.len());
        prop_assert!(arrived.is_subset(&expected));
        let reported: u64 = receiver.dropped.values().sum();
        prop_assert!(reported <= lost);
        prop_assert!(u64::try_from(expected.len() - arrived.len()).unwrap() <= lost);
        prop_assert!(lost > 0 || arrived == expected);
    }

    #[test]
    fn a_window_never_ends_before_it_starts(times in proptest::collection::vec(any::<u64>(), 1..20)) {
        let mut flusher = flusher();
        for now_ms in times {
            flusher.push(now_ms, 0, 1_000);
            flusher.observe(1, &[]);
            prop_assert_eq!(flusher.seal(now_ms / 2, Cut::default(), NO_READINGS, None).error, None);
            prop_assert_eq!(flusher.take(u64::MAX).messages.len(), 1);
            flusher.confirm(&[flusher.stream.last_sequence()]);
        }
    }
}
