//! Custom metrics of a batch: those of its messages, merged, none displaced by another.
//!
//! Senders may contradict each other: one counts what the other reads, with other bounds, or so much that a total passes
//! its range. Which of them is right is known to the Ledger alone, by the series that exist. So what contradicts the
//! merged delta is not dropped here: it goes into a delta of its own, which the Ledger applies after it.

use std::borrow::Cow;

use tributary_telemetry::Delta;

use crate::message::Decoded;

/// Merges the custom metrics of `records`, in whatever form they came: into one delta unless they contradict each other, and
/// never into more than two for each record. None is empty.
pub fn gather(records: &[&Decoded]) -> Vec<Delta> {
    let mut gathered: Vec<Delta> = Vec::new();
    for delta in records.iter().flat_map(|record| [&record.metrics.delta, &record.otlp.delta]) {
        let mut rest = Cow::Borrowed(delta);
        for delta in &mut gathered {
            if rest.is_empty() {
                break;
            }
            rest = Cow::Owned(delta.merge_fitting(&rest));
        }
        if !rest.is_empty() {
            gathered.push(rest.into_owned());
        }
    }
    gathered
}

/// Why custom metrics were counted with less detail than they came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// In the overflow series of their family: the bound on series or bytes was reached.
    Overflow,
    /// Under the coarser bounds of the series that is there.
    Bounds,
}

impl Folding {
    /// Every folding.
    pub const ALL: [Self; 2] = [Self::Overflow, Self::Bounds];

    /// The value of a `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Bounds => "bounds",
        }
    }
}

/// Why series of custom metrics were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Their family's name is not theirs to have.
    ReservedName,
    /// They contradict what is there.
    Conflict,
    /// The bound on series or bytes was reached, and their family has no overflow series and no room for one.
    Bound,
    /// Their total would pass its range.
    Overflow,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 4] = [Self::ReservedName, Self::Conflict, Self::Bound, Self::Overflow];

    /// The value of a `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReservedName => "reserved_name",
            Self::Conflict => "conflict",
            Self::Bound => "bound",
            Self::Overflow => "overflow",
        }
    }
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{FamilyDescriptor, Gauge, LabelSet, MetricKind, Value};

    use super::*;
    use crate::message::{MessageBody, QueueMessage, decode};

    fn decoded(stream: u8, metrics: &Delta) -> Decoded {
        use tributary_proto::{Message as _, envelope::*};
        let envelope = Envelope {
            stream_id: StreamId([stream; 16]),
            sequence: 1,
            window_start_ms: 1_000,
            window_end_ms: 2_000,
            resolver_id: "shop".into(),
            dimensions: Default::default(),
            flag_logs: Vec::new(),
            metrics: metrics.to_wire().encode_to_vec(),
            resource_metrics: Vec::new(),
            dropped: Vec::new(),
        };
        let body = MessageBody::Bytes(envelope.encode().unwrap());
        decode(&QueueMessage { id: "1".into(), sent_ms: 2_000, attempts: 1, body }, "default").unwrap()
    }

    fn delta(kind: MetricKind, value: Value) -> Delta {
        let mut delta = Delta::new();
        let family = FamilyDescriptor::new("orders", "Orders.", "", kind).unwrap();
        delta.add(&family, LabelSet::empty(), value).unwrap();
        delta
    }

    #[test]
    fn what_agrees_is_one_delta_and_what_does_not_stands_beside_it() {
        let counted = |count| delta(MetricKind::Counter, Value::Counter(count));
        let read = delta(MetricKind::Gauge, Value::Gauge(Gauge::unsigned(9, 1_500)));
        let records = [counted(1), read.clone(), counted(2), read, counted(u64::MAX), counted(3)];
        let records: Vec<_> = (0_u8..).zip(&records).map(|(stream, delta)| decoded(stream, delta)).collect();
        let gathered = gather(&records.iter().collect::<Vec<_>>());
        let values: Vec<_> = gathered.iter().map(|delta| delta.get("orders", &LabelSet::empty()).cloned()).collect();
        let gauge = Value::Gauge(Gauge::unsigned(9, 1_500));
        let expected = [Value::Counter(6), gauge, Value::Counter(u64::MAX)];
        assert_eq!(values, expected.map(Some));
        assert!(gathered.iter().all(|delta| delta.start_time_ms() == Some(1_000)));
        assert_eq!(gather(&[&decoded(1, &Delta::new())]), []);
    }

    #[test]
    fn reasons_are_distinct() {
        let names: std::collections::BTreeSet<_> = Refusal::ALL.map(Refusal::as_str).into();
        assert_eq!(names.len(), Refusal::ALL.len());
    }
}
