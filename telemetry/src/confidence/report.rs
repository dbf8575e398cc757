//! Reports as they come, and are added up.
//!
//! Nearly all reports are our own producers': latencies, reasons and two readings. Such a report is read in place into a
//! [`CompactReport`], which holds what is not zero, and adding it costs as much as there is in it. Whatever else a report
//! says, or says in another order, is decoded in full. Both ways give the same; a property test holds them together.

use tributary_proto::{
    Message as _,
    flag_logs::TelemetryData,
    wire::{Cursor, Field},
};

use super::{
    KNOWN_REASONS, TelemetryMergeError, WireError,
    telemetry::{Reading, TelemetryDelta},
};
use crate::{LATENCY_BOUNDS, Rebucketed, histogram::is_latency_ratio, limits::MAX_WIRE_TOTAL};

/// One report, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub enum TelemetryReport {
    /// What our own producers send.
    Compact(CompactReport),
    /// Anything else.
    Full(Box<TelemetryDelta>),
}

/// Who made a report, as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedIdentity<'a> {
    /// An encoded `Sdk`; `None` where it says none.
    pub sdk: Option<&'a [u8]>,
    /// Version of the resolver library.
    pub resolver_version: &'a [u8],
}

/// A report of latencies in our buckets, known reasons and the readings of a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    latencies: Latencies,
    latency_count: u32,
    latency_sum_micros: u32,
    resolves: [u32; KNOWN_REASONS],
    /// 0: not said.
    state_update_ms: u64,
    /// 0: not said.
    memory_bytes: u64,
    read_at_ms: u64,
}

/// Bytes of a latency with one bucket or two; more make room for theirs at once.
const SMALL_LATENCY_BYTES: usize = 40;

/// Buckets and counts, those above 0, in the order of buckets. A report of a few resolves allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Latencies {
    first: [(u8, u32); Self::IN_PLACE],
    used: usize,
    more: Vec<(u8, u32)>,
}

impl Latencies {
    const IN_PLACE: usize = 4;

    #[inline]
    fn push(&mut self, bucket: u8, count: u32) {
        match self.first.get_mut(self.used) {
            Some(place) => {
                *place = (bucket, count);
                self.used += 1;
            }
            None => self.more.push((bucket, count)),
        }
    }

    /// One behind the other.
    fn slices(&self) -> [&[(u8, u32)]; 2] {
        [self.first.get(..self.used).unwrap_or_default(), &self.more]
    }
}

impl From<TelemetryDelta> for TelemetryReport {
    fn from(delta: TelemetryDelta) -> Self {
        Self::Full(Box::new(delta))
    }
}

impl TelemetryReport {
    /// Takes over a decoded report; see [`TelemetryDelta::from_wire`].
    ///
    /// # Errors
    /// Every [`WireError`].
    pub fn from_wire(report: &TelemetryData, read_at_ms: u64) -> Result<(Self, Rebucketed), WireError> {
        let (delta, rebucketed) = TelemetryDelta::from_wire(report, read_at_ms)?;
        Ok((delta.into(), rebucketed))
    }

    /// Says whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Compact(report) => *report == CompactReport { read_at_ms: report.read_at_ms, ..Default::default() },
            Self::Full(delta) => delta.is_empty(),
        }
    }

    /// The same as an accumulator.
    #[must_use]
    pub fn to_delta(&self) -> TelemetryDelta {
        match self {
            Self::Compact(report) => {
                let mut delta = TelemetryDelta::new();
                // Never fails: nothing is added to what would be too much together.
                let _is_taken = delta.add_compact(report).is_ok();
                delta
            }
            Self::Full(delta) => TelemetryDelta::clone(delta),
        }
    }
}

impl CompactReport {
    /// Reads an encoded `TelemetryData` that was made at `read_at_ms`, in milliseconds since the epoch; `None` where it
    /// has to be decoded in full, which then says what is wrong with it, if anything is.
    #[must_use]
    pub fn read(bytes: &[u8], read_at_ms: u64) -> Option<(Self, ReportedIdentity<'_>)> {
        let mut report = Self { read_at_ms, ..Self::default() };
        let mut identity = ReportedIdentity::default();
        let mut cursor = Cursor::new(bytes);
        let mut last = 0;
        while let Some((number, field)) = cursor.field().ok()? {
            // As the generated code writes it: in order, and nothing twice but reasons.
            if number < last || (number == last && number != 5) {
                return None;
            }
            last = number;
            match (number, field) {
                (2, Field::Bytes(sdk)) => {
                    check_sdk(sdk)?;
                    identity.sdk = Some(sdk);
                }
                (4, Field::Bytes(latency)) => report.read_latency(latency)?,
                (5, Field::Bytes(rate)) => report.read_rate(rate)?,
                (6, Field::Bytes(age)) => {
                    let mut cursor = Cursor::new(age);
                    let (1, Field::Varint(updated_ms)) = cursor.field().ok()?? else { return None };
                    report.state_update_ms = updated_ms;
                    cursor.is_empty().then_some(())?;
                }
                (7, Field::Varint(memory_bytes)) => report.memory_bytes = memory_bytes,
                (8, Field::Bytes(version)) => {
                    version.is_ascii().then_some(())?;
                    identity.resolver_version = version;
                }
                _ => return None,
            }
        }
        Some((report, identity))
    }

    fn read_latency(&mut self, bytes: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(bytes);
        let (1, Field::Varint(sum)) = cursor.field().ok()?? else { return None };
        let (2, Field::Varint(count)) = cursor.field().ok()?? else { return None };
        (self.latency_sum_micros, self.latency_count) = (u32::try_from(sum).ok()?, u32::try_from(count).ok()?);
        // In so few bytes there are no more buckets than have their place.
        if bytes.len() > SMALL_LATENCY_BYTES {
            self.latencies.more.reserve(bytes.len() / 2);
        }
        let mut counted = 0_u64;
        loop {
            match cursor.field().ok()?? {
                (3, Field::Bytes(span)) => counted = counted.checked_add(self.read_span(span)?)?,
                (4, Field::Fixed64(ratio)) if is_latency_ratio(f64::from_bits(ratio)) => break,
                _ => return None,
            }
        }
        (cursor.is_empty() && counted == count && counted > 0).then_some(())
    }

    /// The sum of its counts.
    fn read_span(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut cursor = Cursor::new(bytes);
        let (offset, counts) = match cursor.field().ok()?? {
            (1, Field::Varint(offset)) => match cursor.field().ok()?? {
                (2, Field::Bytes(counts)) => (offset, counts),
                _ => return None,
            },
            (2, Field::Bytes(counts)) => (0, counts),
            _ => return None,
        };
        cursor.is_empty().then_some(())?;
        let mut bucket = u8::try_from(offset).ok()?;
        let mut counts = Cursor::new(counts);
        let mut sum = 0_u64;
        while !counts.is_empty() {
            let count = u32::try_from(counts.varint().ok()?).ok()?;
            if usize::from(bucket) > LATENCY_BOUNDS {
                return None;
            }
            if count > 0 {
                self.latencies.push(bucket, count);
            }
            sum = sum.checked_add(u64::from(count))?;
            bucket = bucket.checked_add(1)?;
        }
        Some(sum)
    }

    fn read_rate(&mut self, bytes: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(bytes);
        let (1, Field::Varint(count)) = cursor.field().ok()?? else { return None };
        let reason = match cursor.field().ok()? {
            Some((2, Field::Varint(reason))) => reason,
            None => 0,
            Some(_) => return None,
        };
        cursor.is_empty().then_some(())?;
        let total = self.resolves.get_mut(usize::try_from(reason).ok()?)?;
        *total = total.checked_add(u32::try_from(count).ok()?)?;
        Some(())
    }
}

/// `None` where an encoded `Sdk` has to be decoded in full to know whether it is one.
fn check_sdk(bytes: &[u8]) -> Option<()> {
    let mut cursor = Cursor::new(bytes);
    while let Some(field) = cursor.field().ok()? {
        match field {
            (1, Field::Varint(_)) => {}
            (2 | 3, Field::Bytes(text)) if text.is_ascii() => {}
            _ => return None,
        }
    }
    Some(())
}

impl TelemetryDelta {
    /// Adds a report.
    ///
    /// # Errors
    /// [`TelemetryMergeError`]; `self` is unchanged.
    pub fn add_report(&mut self, report: &TelemetryReport) -> Result<(), TelemetryMergeError> {
        match report {
            TelemetryReport::Compact(report) => self.add_compact(report),
            TelemetryReport::Full(delta) => self.merge(delta),
        }
    }

    fn add_compact(&mut self, report: &CompactReport) -> Result<(), TelemetryMergeError> {
        let fits =
            |total: u64, added: u32| total.checked_add(u64::from(added)).is_some_and(|sum| sum <= MAX_WIRE_TOTAL);
        let is_first = self.latency.is_empty();
        let (count, sum_micros) = (self.latency.count(), self.latency.sum_micros());
        if !is_first
            && report.latency_count > 0
            && !(fits(count, report.latency_count) && fits(sum_micros, report.latency_sum_micros))
        {
            return Err(TelemetryMergeError::Overflow { field: "resolve_latency" });
        }
        if !self.resolves.have_room(&report.resolves) {
            return Err(TelemetryMergeError::Overflow { field: "resolve_rate" });
        }
        for counts in report.latencies.slices() {
            self.latency.add_buckets(counts);
        }
        self.latency.add_sum(report.latency_sum_micros);
        self.resolves.add_counts(&report.resolves);
        let reading = |value: u64| (value > 0).then_some(Reading { time_ms: report.read_at_ms, value });
        self.memory_bytes = self.memory_bytes.max(reading(report.memory_bytes));
        self.state_update_ms = self.state_update_ms.max(reading(report.state_update_ms));
        Ok(())
    }
}

/// Reads an encoded `TelemetryData` either way. The result beside it: who made it, decoded in full where it was.
///
/// # Errors
/// [`ReportError`].
pub fn read_report(bytes: &[u8], read_at_ms: u64) -> Result<ReadReport<'_>, ReportError> {
    if let Some((report, identity)) = CompactReport::read(bytes, read_at_ms) {
        return Ok(ReadReport::Compact(report, identity));
    }
    let data = TelemetryData::decode(bytes).map_err(|_| ReportError::Protobuf)?;
    Ok(ReadReport::Decoded(Box::new(data)))
}

/// What [`read_report`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadReport<'a> {
    /// A report of our own producers.
    Compact(CompactReport, ReportedIdentity<'a>),
    /// Another, decoded and not yet checked.
    Decoded(Box<TelemetryData>),
}

/// A report that is no `TelemetryData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It does not decode.
    #[error("telemetry_data does not decode")]
    Protobuf,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_proto::flag_logs::{
        Sdk, sdk,
        telemetry_data::{BucketSpan, FlushTelemetry, ResolveLatency, ResolveRate, StateAge},
    };

    use super::*;
    use crate::LATENCY_LN_RATIO;

    prop_compose! {
        fn span()(offset in -2..180_i32, counts in proptest::collection::vec(0..4_u32, 0..4)) -> BucketSpan {
            BucketSpan { offset, counts }
        }
    }
    fn sdk() -> impl Strategy<Value = Sdk> {
        let name = prop_oneof![
            any::<i32>().prop_map(|id| Some(sdk::Sdk::Id(id))),
            "[a-cé]{0,3}".prop_map(|name| Some(sdk::Sdk::CustomId(name))),
            Just(None),
        ];
        (name, "[0-9.é]{0,3}").prop_map(|(sdk, version)| Sdk { version, sdk })
    }

    prop_compose! {
        fn data()(
            spans in proptest::collection::vec(span(), 0..4), extra in prop_oneof![9 => Just(0_u32), 1 => Just(1)],
            sum in prop_oneof![0..900_u32, Just(u32::MAX)], ratio in prop_oneof![9 => Just(LATENCY_LN_RATIO), 1 => Just(0.1)],
            rates in proptest::collection::vec((prop_oneof![0..9_u32, Just(u32::MAX)], -1..13_i32), 0..4),
            age in proptest::option::of(0..3_u64), memory_bytes in 0..3_u64,
            flush in prop_oneof![9 => Just(None), 1 => Just(Some(FlushTelemetry { succeeded: 1, failed: 0 }))],
            version in "[a-bé]{0,2}", has_latency in any::<bool>(), sdk in proptest::option::of(sdk()),
        ) -> TelemetryData {
            let count = spans.iter().flat_map(|span| &span.counts).sum::<u32>() + extra;
            TelemetryData {
                resolve_latency: has_latency.then_some(ResolveLatency { sum, count, buckets: spans, ln_ratio: ratio }),
                resolve_rate: rates.into_iter().map(|(count, reason)| ResolveRate { count, reason }).collect(),
                state_age: age.map(|last_state_update| StateAge { last_state_update }),
                memory_bytes,
                flush,
                resolver_version: version,
                sdk,
                ..TelemetryData::default()
            }
        }
    }

    proptest! {
        #[test]
        fn read_in_place_and_decoded_are_the_same(data in data(), before in data(), time in 0..3_u64) {
            let bytes = data.encode_to_vec();
            if let Some((report, identity)) = CompactReport::read(&bytes, time) {
                let (expected, rebucketed) = TelemetryDelta::from_wire(&data, time).unwrap();
                let report = TelemetryReport::Compact(report);
                prop_assert_eq!(&report.to_delta(), &expected);
                prop_assert_eq!(report.is_empty(), expected.is_empty());
                prop_assert_eq!(rebucketed.observations, 0);
                prop_assert_eq!(identity.resolver_version, data.resolver_version.as_bytes());
                let sdk = data.sdk.as_ref().map(Sdk::encode_to_vec);
                prop_assert_eq!(identity.sdk, sdk.as_deref());
                if let Ok((mut left, _)) = TelemetryDelta::from_wire(&before, 1) {
                    let mut right = left.clone();
                    prop_assert_eq!(left.add_report(&report), right.merge(&expected));
                    prop_assert_eq!(left, right);
                }
            }
        }

        #[test]
        fn bytes_that_are_nearly_right_are_read_as_the_generated_code_reads_them(
            data in data(), at in any::<prop::sample::Index>(), to in any::<u8>(),
        ) {
            let mut bytes = data.encode_to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            if let Some((report, identity)) = CompactReport::read(&bytes, 5) {
                let data = TelemetryData::decode(bytes.as_slice()).unwrap();
                prop_assert_eq!(identity.sdk.map(|sdk| Sdk::decode(sdk).unwrap()), data.sdk.clone());
                let (expected, _) = TelemetryDelta::from_wire(&data, 5).unwrap();
                prop_assert_eq!(TelemetryReport::Compact(report).to_delta(), expected);
            }
        }
    }

    #[test]
    fn an_sdk_is_read_in_place_where_the_generated_code_reads_it_and_nowhere_else() {
        let report = |sdk: &[u8]| [&[0x12, u8::try_from(sdk.len()).unwrap()], sdk].concat();
        let custom = Sdk { version: "1.2.3".into(), sdk: Some(sdk::Sdk::CustomId("shop".into())) };
        for sdk in [custom, Sdk { version: "1.2.3".into(), sdk: Some(sdk::Sdk::Id(25)) }, Sdk::default()] {
            let bytes = report(&sdk.encode_to_vec());
            let (_, identity) = CompactReport::read(&bytes, 5).unwrap();
            assert_eq!(Sdk::decode(identity.sdk.unwrap()), Ok(sdk));
        }
        // A string as a number, one that is cut off, one that is no UTF-8, a number that is cut off, and no field at all.
        for sdk in [&[0x18, 1][..], &[0x12, 2, b'a'], &[0x1a, 1, 0xff], &[0x08, 0x80], &[0x0c], &[0]] {
            let bytes = report(sdk);
            assert!(TelemetryData::decode(bytes.as_slice()).is_err(), "{sdk:?}");
            assert_eq!(CompactReport::read(&bytes, 5), None, "{sdk:?}");
        }
    }

    #[test]
    fn what_a_producer_sends_is_read_in_place() {
        let mut delta = TelemetryDelta::new();
        for micros in [1, 500, 501, 90_000, 4_000_000_000] {
            delta.observe_latency(micros);
        }
        delta.add_resolves(1, 3);
        delta.add_resolves(10, 3);
        delta.set_memory_bytes(9, 7);
        delta.set_state_update(8, 7);
        let [data] = <[_; 1]>::try_from(delta.to_wire()).unwrap();
        let bytes = data.encode_to_vec();
        let (report, _) = CompactReport::read(&bytes, 7).unwrap();
        assert_eq!(TelemetryReport::Compact(report).to_delta(), delta);
    }
}
