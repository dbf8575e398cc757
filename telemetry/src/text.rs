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

use std::fmt::Write as _;

use crate::{
    Bounds, FamilyDescriptor, Histogram, LabelSet, MetricKind, Number, Series, Snapshot, Value,
    histogram::{Digits, FINEST},
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

/// How to write a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextOptions {
    /// Which format.
    pub format: TextFormat,
    /// How many bounds per decade of a decimal layout are written at most: of a layout with p per decade every
    /// ceil(p/n)-th bound, and `+Inf` always. 1 … 18; what is outside counts as the nearest of these.
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
    let mut writer = Writer { out, options: *options, labels: String::new() };
    for family in snapshot.families() {
        writer.metadata(family.descriptor());
        for (labels, series) in family.series() {
            writer.series(family.descriptor(), labels, series);
        }
    }
    if options.format == TextFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
}

struct Writer<'a> {
    out: &'a mut String,
    options: TextOptions,
    /// `name="value",…` of the series at hand, without braces; one buffer for all series.
    labels: String,
}

impl Writer<'_> {
    fn metadata(&mut self, family: &FamilyDescriptor) {
        let open_metrics = self.options.format == TextFormat::OpenMetrics;
        let suffix = if family.kind() == MetricKind::Counter && !open_metrics { "_total" } else { "" };
        let kind = |out: &mut String| {
            for part in ["# TYPE ", family.name(), suffix, " ", family.kind().as_str(), "\n"] {
                out.push_str(part);
            }
        };
        if open_metrics {
            kind(self.out);
            // A unit that is not the end of the name makes the whole exposition invalid.
            let stem = family.name().strip_suffix(family.unit()).filter(|stem| stem.ends_with('_'));
            if !family.unit().is_empty() && stem.is_some() {
                for part in ["# UNIT ", family.name(), " ", family.unit(), "\n"] {
                    self.out.push_str(part);
                }
            }
        }
        for part in ["# HELP ", family.name(), suffix, " "] {
            self.out.push_str(part);
        }
        push_escaped(self.out, family.help(), open_metrics);
        self.out.push('\n');
        if !open_metrics {
            kind(self.out);
        }
    }

    fn series(&mut self, family: &FamilyDescriptor, labels: &LabelSet, series: &Series) {
        self.labels.clear();
        for (name, value) in labels.iter() {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(name);
            self.labels.push_str("=\"");
            push_escaped(&mut self.labels, value, true);
            self.labels.push('"');
        }
        let name = family.name();
        match series.value() {
            Value::Counter(count) => self.sample(name, "_total", Number::Unsigned(*count)),
            Value::Gauge(gauge) => self.sample(name, "", gauge.value()),
            Value::Histogram(histogram) => self.histogram(name, histogram),
        }
        if self.options.created && self.options.format == TextFormat::OpenMetrics && family.kind() != MetricKind::Gauge
        {
            self.created(name, series.start_time_ms());
        }
    }

    /// Name, suffix and labels of a sample, and the space after them.
    fn start(&mut self, name: &str, suffix: &str) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        if !self.labels.is_empty() {
            self.out.push('{');
            self.out.push_str(&self.labels);
            self.out.push('}');
        }
        self.out.push(' ');
    }

    fn sample(&mut self, name: &str, suffix: &str, value: Number) {
        self.start(name, suffix);
        push_number(self.out, value);
        self.out.push('\n');
    }

    fn created(&mut self, name: &str, start_time_ms: u64) {
        self.start(name, "_created");
        push_unsigned(self.out, start_time_ms / 1_000);
        self.out.push('.');
        push_padded(self.out, start_time_ms % 1_000, 3);
        self.out.push('\n');
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        let mut counts = histogram.bucket_counts().iter();
        // The counts of a histogram fit 64 bits together, so this never saturates.
        let mut cumulative: u64 = 0;
        let mut next = || {
            cumulative = cumulative.saturating_add(counts.next().copied().unwrap_or(0));
            cumulative
        };
        match histogram.bounds() {
            Bounds::Decimal(decimal) => {
                let wanted = u32::from(self.options.buckets_per_decade).clamp(1, FINEST);
                let stride = decimal.per_decade().div_ceil(wanted);
                for (index, digits) in (1..).zip(decimal.digits()) {
                    let count = next();
                    if u32::is_multiple_of(index, stride) {
                        self.bucket(name, |out| push_digits(out, digits), count);
                    }
                }
            }
            Bounds::Explicit(explicit) => {
                for bound in explicit.as_slice() {
                    let count = next();
                    self.bucket(name, |out| push_float(out, *bound), count);
                }
            }
        }
        let count = histogram.count();
        self.bucket(name, |out| out.push_str("+Inf"), count);
        // With observations below zero the sum may fall, so OpenMetrics forbids it there, and the count with it.
        let may_fall = histogram.bounds().take_negatives();
        if !(may_fall && self.options.format == TextFormat::OpenMetrics) {
            self.sample(name, "_sum", histogram.sum());
            self.sample(name, "_count", Number::Unsigned(count));
        }
    }

    fn bucket(&mut self, name: &str, bound: impl FnOnce(&mut String), count: u64) {
        self.out.push_str(name);
        self.out.push_str("_bucket{");
        self.out.push_str(&self.labels);
        if !self.labels.is_empty() {
            self.out.push(',');
        }
        self.out.push_str("le=\"");
        bound(self.out);
        self.out.push_str("\"} ");
        push_unsigned(self.out, count);
        self.out.push('\n');
    }
}

/// Appends text with `\` and LF escaped, and `"` where `quotes` says so. Injective: no two texts come out alike.
fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\n', '"']) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut tail = tail.chars();
        match tail.next() {
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('"') if quotes => out.push_str("\\\""),
            Some(other) => out.push(other),
            None => {}
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
}

/// Appends a bound of the decimal layout as `{:.6e}` prints it.
fn push_digits(out: &mut String, digits: Digits) {
    push_unsigned(out, u64::from(digits.mantissa / 1_000_000));
    out.push('.');
    push_padded(out, u64::from(digits.mantissa % 1_000_000), 6);
    out.push('e');
    push_unsigned(out, u64::from(digits.exponent));
}

fn push_number(out: &mut String, number: Number) {
    match number {
        Number::Unsigned(value) => push_unsigned(out, value),
        Number::Float(value) => push_float(out, value),
    }
}

/// Appends the shortest digits that read back as `value`.
fn push_float(out: &mut String, value: f64) {
    if value == f64::INFINITY {
        out.push_str("+Inf");
    } else if value == f64::NEG_INFINITY {
        out.push_str("-Inf");
    } else if write!(out, "{value:?}").is_err() {
        // Writing to a String does not fail.
        debug_assert!(false, "a String took no text");
    }
}

fn push_unsigned(out: &mut String, value: u64) {
    push_padded(out, value, 1);
}

/// Appends decimal digits, at least `width` of them. Called for every bucket line: a loop over a buffer on the stack is
/// several times faster than the formatting machinery.
fn push_padded(out: &mut String, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if rest == 0 && used >= width {
            break;
        }
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
    }
    let first = digits.len().saturating_sub(used);
    if let Some(Ok(text)) = digits.get(first..).map(std::str::from_utf8) {
        out.push_str(text);
    }
}
