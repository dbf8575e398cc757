//! What the endpoint says of itself: families, and what each event adds to them.

use tributary_telemetry::{Delta, FamilyDescriptor, Gauge, LabelSet, MetricKind, Number, Snapshot, Zero};

use super::{
    negotiate::Format,
    options::{Selection, View},
};
use crate::self_metrics::{NotRecorded, add, labels, set};

/// When the copy was made that a scrape reads.
pub const PUBLISHED: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_published_timestamp_seconds",
    "When these metrics were published.",
    "seconds",
    MetricKind::Gauge,
);
/// Which version of the consumer made it.
pub const BUILD_INFO: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_build_info",
    "The version of the consumer that published these metrics; always 1.",
    "",
    MetricKind::Gauge,
);
/// How old the copy is. Of each answer and not of the copy, hence added to it as the last family.
pub const AGE: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_metrics_age_seconds",
    "Time from the publication of these metrics until this scrape read them.",
    "seconds",
    MetricKind::Gauge,
);
/// Scrapes that got no metrics.
pub const FAILURES: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_scrape_failures",
    "Scrapes answered with an error because the metrics could not be read, by what failed.",
    "",
    MetricKind::Counter,
);
/// Scrapes for which KV was behind.
pub const STALE: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_stale_copies",
    "Scrapes for which KV had an older copy than the same isolate had served before; the newer one was served again.",
    "",
    MetricKind::Counter,
);

/// All families of this module.
pub static ALL: [&FamilyDescriptor; 5] = [&PUBLISHED, &BUILD_INFO, &AGE, &FAILURES, &STALE];

/// Why a scrape failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// KV did not answer.
    Kv,
    /// The Ledger did not answer.
    Ledger,
    /// What was read is no copy of the metrics.
    Corrupt,
    /// So many large ones are being answered that another has no room.
    Busy,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Kv, Self::Ledger, Self::Corrupt, Self::Busy];

    /// The value of a `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Ledger => "ledger",
            Self::Corrupt => "corrupt",
            Self::Busy => "busy",
        }
    }
}

/// A scrape failed.
///
/// # Errors
/// [`NotRecorded`], as for every function here that adds to a delta.
pub fn failed(delta: &mut Delta, reason: FailureReason) -> Result<(), NotRecorded> {
    add(delta, &FAILURES, &[("reason", reason.as_str())], 1)
}

/// KV was behind.
///
/// # Errors
/// [`NotRecorded`]
pub fn stale(delta: &mut Delta) -> Result<(), NotRecorded> {
    add(delta, &STALE, &[], 1)
}

/// Makes what may happen show at 0.
///
/// # Errors
/// [`NotRecorded`], never in practice.
pub fn declare(state: &mut Snapshot) -> Result<(), NotRecorded> {
    for reason in FailureReason::ALL {
        let _declared = state.declare(&FAILURES, labels(&[("reason", reason.as_str())])?, Zero::Counter);
    }
    let _declared = state.declare(&STALE, LabelSet::empty(), Zero::Counter);
    Ok(())
}

/// Says when a copy was made.
///
/// # Errors
/// [`NotRecorded`]
pub fn published(delta: &mut Delta, now_ms: u64) -> Result<(), NotRecorded> {
    set(delta, &PUBLISHED, &[], Number::Float(seconds(now_ms)), now_ms)
}

/// Adds the version to a copy, and never to the state itself: there it would outlive its version.
///
/// # Errors
/// [`NotRecorded`]
pub fn add_build_info(copy: &mut Snapshot, now_ms: u64) -> Result<(), NotRecorded> {
    let mut delta = Delta::new();
    set(&mut delta, &BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], Number::Unsigned(1), now_ms)?;
    // At the bound on series there is no room for it, and none is needed.
    let _applied = copy.apply(&delta, now_ms).map_err(NotRecorded::new)?;
    Ok(())
}

/// Puts the age of the copy into a text or after messages, before the end; nothing that is there is written again. False
/// where there is not the end that the format has: it was cut off.
pub fn add_age(text: &mut Vec<u8>, format: Format, age_ms: u64) -> bool {
    let Some(families) = text.strip_suffix(format.end().as_bytes()).map(<[u8]>::len) else { return false };
    let mut delta = Delta::new();
    let mut age = Snapshot::new(0);
    let gauge = Gauge::new(Number::Float(seconds(age_ms)), 0);
    let is_made = gauge.is_ok_and(|gauge| delta.set_gauge(&AGE, LabelSet::empty(), gauge).is_ok());
    if is_made && age.apply(&delta, 0).is_ok() {
        text.truncate(families);
        let view = View { buckets_per_decade: 18, created: false, selection: Selection::default() };
        view.write(&age, format, text);
    }
    true
}

/// Milliseconds as seconds. Exact to the millisecond for 285,000 years.
pub(crate) fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_the_last_family_and_the_text_before_it_stays() {
        let mut openmetrics = b"# TYPE a gauge\na 1\n# EOF\n".to_vec();
        assert!(add_age(&mut openmetrics, Format::OpenMetrics, 3_214));
        assert_eq!(
            String::from_utf8(openmetrics).unwrap(),
            "# TYPE a gauge\na 1\n\
             # TYPE tributary_metrics_age_seconds gauge\n\
             # UNIT tributary_metrics_age_seconds seconds\n\
             # HELP tributary_metrics_age_seconds Time from the publication of these metrics until this scrape read them.\n\
             tributary_metrics_age_seconds 3.214\n# EOF\n"
        );
        let mut text = b"a 1\n".to_vec();
        assert!(add_age(&mut text, Format::Prometheus, 0));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "a 1\n\
             # HELP tributary_metrics_age_seconds Time from the publication of these metrics until this scrape read them.\n\
             # TYPE tributary_metrics_age_seconds gauge\n\
             tributary_metrics_age_seconds 0.0\n"
        );
        let mut messages = b"\x03\x0a\x01a".to_vec();
        assert!(add_age(&mut messages, Format::Protobuf, 500));
        let half = [&[9][..], &0.5_f64.to_le_bytes()].concat();
        assert!(messages.starts_with(b"\x03\x0a\x01a") && messages.windows(9).any(|bytes| bytes == half));
    }

    #[test]
    fn a_text_that_was_cut_off_is_noticed() {
        for text in ["", "a 1\n", "a 1\n# EOF", "# EOF\na 1\n"] {
            let mut bytes = text.as_bytes().to_vec();
            assert!(!add_age(&mut bytes, Format::OpenMetrics, 1), "{text:?}");
            assert_eq!(bytes, text.as_bytes());
        }
    }

    #[test]
    fn the_version_is_in_the_copy_and_not_in_the_state() {
        let mut state = Snapshot::new(1);
        declare(&mut state).unwrap();
        let mut copy = state.clone();
        add_build_info(&mut copy, 5).unwrap();
        let names = |state: &Snapshot| -> Vec<String> {
            state.families().map(|family| family.descriptor().name().to_owned()).collect()
        };
        assert_eq!(names(&copy), ["tributary_build_info", "tributary_scrape_failures", "tributary_stale_copies"]);
        assert_eq!(names(&state), ["tributary_scrape_failures", "tributary_stale_copies"]);
    }
}
