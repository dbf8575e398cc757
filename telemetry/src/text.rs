//! The text formats that Prometheus scrapes.
//!
//! The only place that prints `le`, `+Inf` and escapes. Both formats come from one walk over the state; they differ in
//! this:
//!
//! | | OpenMetrics 1.0 | Prometheus 0.0.4 |
//! | --- | --- | --- |
//! | a counter's name in the comments | base name | sample name (`_total`) |
//! | comments | `TYPE`, `UNIT`, `HELP` | `HELP`, `TYPE` |
//! | escaped in help | `\`, LF, `"` | `\`, LF |
//! | `_created` | on request | never |
//! | `_sum` and `_count` of a histogram with a bound below 0 | never | always |
//! | end | `# EOF` | nothing |
//!
//! In both: escaped in label values are `\`, LF and `"`; families and series come in canonical order, so that equal
//! states print alike, byte for byte; integers have no decimal point; lines end in LF.
//!
//! Up-down sums are gauges there, and exponential histograms are histograms ([`Grid`](crate::exponential::Grid) says under which
//! bounds).
//!
//! Nearly all of a text are bucket lines. What they have in common, name and labels, is written once per series and
//! copied from there, so that the text itself is the only buffer.

mod exponential;
mod number;

use std::ops::Range;

pub(crate) use self::number::float_bytes;
use self::{
    exponential::PrintedGrid,
    number::{decimal_bounds, push_decimal_bound, push_float, push_millis, push_number, push_signed, push_unsigned},
};
use crate::{
    Bounds, ExponentialHistogram, FamilyDescriptor, Histogram, LabelSet, MetricFamily, MetricKind, Number, Series,
    Snapshot, UpDown, Value, histogram::FINEST,
};

/// Which text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// `application/openmetrics-text`, version 1.0.0.
    OpenMetrics,
    /// `text/plain`, version 0.0.4.
    #[default]
    Prometheus,
}

impl TextFormat {
    /// How a whole text ends, after its last family.
    #[must_use]
    pub const fn end(self) -> &'static str {
        match self {
            Self::OpenMetrics => "# EOF\n",
            Self::Prometheus => "",
        }
    }
}

/// The longer of both ends.
pub(crate) const END_BYTES: usize = TextFormat::OpenMetrics.end().len();

/// How to write a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextOptions {
    /// Which format.
    pub format: TextFormat,
    /// How many bounds per decade of a decimal layout are written at most: of a layout with p per decade every
    /// ceil(p/n)-th bound, and `+Inf` always. Exponential histograms have at most as many, too, and at most 13. 1 … 18;
    /// what is outside counts as the nearest of these.
    pub buckets_per_decade: u8,
    /// Whether OpenMetrics gets the start of each counter and histogram as a `_created` sample.
    pub created: bool,
}

impl TextOptions {
    /// All bounds, no `_created`.
    #[must_use]
    pub const fn new(format: TextFormat) -> Self {
        Self { format, buckets_per_decade: 18, created: false }
    }

    /// Which bounds of a decimal layout are written: every n-th.
    fn stride(self, per_decade: u32) -> u32 {
        per_decade.div_ceil(u32::from(self.buckets_per_decade).clamp(1, FINEST))
    }

    /// The same, to count with.
    pub(crate) fn stride_of(self, per_decade: u32) -> usize {
        usize::try_from(self.stride(per_decade)).unwrap_or(1).max(1)
    }

    fn is_open_metrics(self) -> bool {
        self.format == TextFormat::OpenMetrics
    }
}

impl Default for TextOptions {
    fn default() -> Self {
        Self::new(TextFormat::default())
    }
}

/// Appends the whole state to `out`.
///
/// # Examples
/// ```
/// use tributary_telemetry::{Snapshot, TextFormat, TextOptions, write_text};
/// let mut out = String::new();
/// write_text(&Snapshot::new(0), &TextOptions::new(TextFormat::OpenMetrics), &mut out);
/// assert_eq!(out, "# EOF\n");
/// ```
pub fn write_text(snapshot: &Snapshot, options: &TextOptions, out: &mut String) {
    let mut bytes = std::mem::take(out).into_bytes();
    write_selected_text(snapshot, options, |_| true, &mut bytes);
    // Only whole strings and ASCII were appended, so there is nothing to replace.
    *out = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
}

/// Appends the families that `select` says to `out`, as UTF-8. None at all is a legal text, too.
pub fn write_selected_text(
    snapshot: &Snapshot,
    options: &TextOptions,
    select: impl Fn(&FamilyDescriptor) -> bool,
    out: &mut Vec<u8>,
) {
    let families = || snapshot.families().filter(|family| select(family.descriptor()));
    let expected: usize = families().map(|family| expected_bytes(family, *options)).sum();
    out.reserve(expected.saturating_add(options.format.end().len()));
    for family in families() {
        write_family(family, options, out);
    }
    out.extend_from_slice(options.format.end().as_bytes());
}

/// Appends one family to `out`, as UTF-8. A whole text has its families in canonical order, and ends with
/// [`TextFormat::end`].
pub fn write_family(family: &MetricFamily, options: &TextOptions, out: &mut Vec<u8>) {
    let mut writer = Writer { out, options: *options };
    writer.metadata(family.descriptor());
    let grid = PrintedGrid::new(family, *options);
    for (labels, series) in family.series() {
        writer.series(family.descriptor(), &grid, labels, series);
    }
}

/// About how many bytes a family takes; what has many escapes or long floats takes more, and the buffer grows.
fn expected_bytes(family: &MetricFamily, options: TextOptions) -> usize {
    // Prefixes, suffixes and punctuation of the comments, and of a sample besides its number.
    const COMMENTS: usize = 64;
    const SAMPLE: usize = 16;
    const FLOAT: usize = 20;
    const BOUND: usize = 20;
    let descriptor = family.descriptor();
    let name = descriptor.name().len();
    let series = family.series().map(|(labels, series)| {
        let labels = labels.text_bytes() + 4 * labels.len();
        let line = name + labels + SAMPLE;
        let created = if options.created { line + FLOAT } else { 0 };
        let samples = match series.value() {
            Value::Counter(count) => line + number::digits(*count),
            Value::FloatCounter(_) | Value::UpDown(_) | Value::Gauge(_) => line + FLOAT,
            // Most have few of the bounds that a grid can have.
            Value::Exponential(histogram) => 16 * (line + BOUND + number::digits(histogram.count())) + FLOAT,
            Value::Histogram(histogram) => {
                let bounds = match histogram.bounds() {
                    Bounds::Decimal(decimal) => histogram.bounds().len() / options.stride_of(decimal.per_decade()),
                    Bounds::Explicit(explicit) => explicit.as_slice().len(),
                };
                (bounds + 3) * (line + BOUND + number::digits(histogram.count())) + FLOAT
            }
        };
        samples + created
    });
    4 * name + 2 * descriptor.unit().len() + descriptor.help().len() + COMMENTS + series.sum::<usize>()
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    options: TextOptions,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn push_all(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.push(part));
    }

    fn metadata(&mut self, family: &FamilyDescriptor) {
        let open_metrics = self.options.is_open_metrics();
        let suffix = if family.kind() == MetricKind::Counter && !open_metrics { "_total" } else { "" };
        let kind = ["# TYPE ", family.name(), suffix, " ", family.kind().as_str(), "\n"];
        if open_metrics {
            self.push_all(&kind);
            if family.ends_in_unit() {
                self.push_all(&["# UNIT ", family.name(), " ", family.unit(), "\n"]);
            }
        }
        self.push_all(&["# HELP ", family.name(), suffix, " "]);
        push_escaped(self.out, family.help(), open_metrics);
        self.push("\n");
        if !open_metrics {
            self.push_all(&kind);
        }
    }

    fn series(&mut self, family: &FamilyDescriptor, grid: &PrintedGrid, labels: &LabelSet, series: &Series) {
        let name = family.name();
        let labels = match series.value() {
            Value::Counter(count) => self.first_sample(name, "_total", labels, |out| push_unsigned(out, *count)),
            Value::FloatCounter(sum) => self.first_sample(name, "_total", labels, |out| push_float(out, *sum)),
            Value::UpDown(UpDown::Integer(sum)) => self.first_sample(name, "", labels, |out| push_signed(out, *sum)),
            Value::UpDown(UpDown::Float(sum)) => self.first_sample(name, "", labels, |out| push_float(out, *sum)),
            Value::Gauge(gauge) => self.first_sample(name, "", labels, |out| push_number(out, gauge.value())),
            Value::Histogram(histogram) => self.histogram(name, labels, histogram),
            Value::Exponential(histogram) => self.exponential(name, labels, histogram, grid),
        };
        let has_start = family.kind().suffixes().contains(&"_created");
        if self.options.created && self.options.is_open_metrics() && has_start {
            self.start(name, "_created", labels);
            push_millis(self.out, series.start_time_ms());
            self.push("\n");
        }
    }

    /// Writes `name="value",…` without braces; returns where.
    fn labels(&mut self, labels: &LabelSet) -> Range<usize> {
        let start = self.out.len();
        for (index, (name, value)) in labels.iter().enumerate() {
            if index > 0 {
                self.push(",");
            }
            self.push(name);
            self.push("=\"");
            push_escaped(self.out, value, true);
            self.push("\"");
        }
        start..self.out.len()
    }

    /// Writes the first sample of a series; returns where its labels stand.
    fn first_sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &LabelSet,
        push_value: impl FnOnce(&mut Vec<u8>),
    ) -> Range<usize> {
        self.push(name);
        self.push(suffix);
        let range = if labels.is_empty() {
            0..0
        } else {
            self.push("{");
            let range = self.labels(labels);
            self.push("}");
            range
        };
        self.push(" ");
        push_value(self.out);
        self.push("\n");
        range
    }

    /// Name, suffix and labels of a further sample, and the space after them.
    fn start(&mut self, name: &str, suffix: &str, labels: Range<usize>) {
        self.push(name);
        self.push(suffix);
        if !labels.is_empty() {
            self.push("{");
            self.out.extend_from_within(labels);
            self.push("}");
        }
        self.push(" ");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: Range<usize>, value: Number) {
        self.start(name, suffix, labels);
        push_number(self.out, value);
        self.push("\n");
    }

    /// Begins the first bucket line; returns where the labels of the series stand, and how the next ones begin.
    fn bucket_lines(&mut self, name: &str, labels: &LabelSet) -> (Range<usize>, BucketLines) {
        let line = self.out.len();
        self.push(name);
        self.push("_bucket{");
        let labels = self.labels(labels);
        self.push(if labels.is_empty() { "le=\"" } else { ",le=\"" });
        (labels, BucketLines { prefix: line..self.out.len(), is_begun: true })
    }

    /// Writes all samples of an exponential histogram; returns where its labels stand.
    fn exponential(
        &mut self,
        name: &str,
        labels: &LabelSet,
        histogram: &ExponentialHistogram,
        grid: &PrintedGrid,
    ) -> Range<usize> {
        let (labels, mut lines) = self.bucket_lines(name, labels);
        for (bound, count) in grid.cumulative(histogram) {
            lines.begin(self.out);
            self.out.extend_from_slice(bound);
            end_bucket(self.out, count);
        }
        let count = histogram.count();
        lines.begin(self.out);
        self.push("+Inf");
        end_bucket(self.out, count);
        // OpenMetrics has both or none, and none with observations below zero; the older format always has the count.
        let open_metrics = self.options.is_open_metrics();
        let is_whole = histogram.sum().is_some_and(|sum| sum >= 0.0) && !grid.has_negatives();
        if let Some(sum) = histogram.sum().filter(|_| is_whole || !open_metrics) {
            self.sample(name, "_sum", labels.clone(), Number::Float(sum));
        }
        if is_whole || !open_metrics {
            self.sample(name, "_count", labels.clone(), Number::Unsigned(count));
        }
        labels
    }

    /// Writes all samples of a histogram; returns where its labels stand.
    fn histogram(&mut self, name: &str, labels: &LabelSet, histogram: &Histogram) -> Range<usize> {
        let (labels, mut lines) = self.bucket_lines(name, labels);
        // The counts of a histogram fit 64 bits together, so this never saturates.
        let mut cumulative: u64 = 0;
        let mut counts = histogram.bucket_counts().iter();
        match histogram.bounds() {
            Bounds::Decimal(decimal) => {
                let stride = self.options.stride(decimal.per_decade());
                let mut skipped = 0;
                for (bound, count) in decimal_bounds(*decimal).zip(counts.by_ref()) {
                    cumulative = cumulative.saturating_add(*count);
                    skipped += 1;
                    if skipped == stride {
                        skipped = 0;
                        lines.begin(self.out);
                        push_decimal_bound(self.out, bound);
                        end_bucket(self.out, cumulative);
                    }
                }
            }
            Bounds::Explicit(explicit) => {
                for (bound, count) in explicit.as_slice().iter().zip(counts.by_ref()) {
                    cumulative = cumulative.saturating_add(*count);
                    lines.begin(self.out);
                    push_float(self.out, *bound);
                    end_bucket(self.out, cumulative);
                }
            }
        }
        let count = counts.fold(cumulative, |sum, count| sum.saturating_add(*count));
        lines.begin(self.out);
        self.push("+Inf");
        end_bucket(self.out, count);
        // With observations below zero the sum may fall, so OpenMetrics forbids it there, and the count with it.
        let may_fall = histogram.bounds().take_negatives();
        if !(may_fall && self.options.is_open_metrics()) {
            self.sample(name, "_sum", labels.clone(), histogram.sum());
            self.sample(name, "_count", labels.clone(), Number::Unsigned(count));
        }
        labels
    }
}

/// What all bucket lines of a series begin with, up to the bound.
struct BucketLines {
    prefix: Range<usize>,
    /// The first one is where the prefix stands.
    is_begun: bool,
}

impl BucketLines {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.is_begun) {
            out.extend_from_within(self.prefix.clone());
        }
    }
}

/// What follows the bound in a bucket line.
fn end_bucket(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(b"\"} ");
    push_unsigned(out, count);
    out.push(b'\n');
}

/// Appends text with `\` and LF escaped, and `"` where `quotes` says so. Injective: no two texts come out alike.
fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else { break };
        match special {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if !quotes => out.push(b'"'),
            other => out.extend_from_slice(&[b'\\', *other]),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}
