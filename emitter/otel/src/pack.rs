//! Cuts points to the size of messages: each message says the resource again, and of scopes and metrics those that it has
//! points of. A metric may go on in the next message. No point is lost but one that alone is larger than a message.

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope,
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    },
    resource::v1::Resource,
};
use prost::Message as _;

/// About what the labels of a scope take in a series beside what the scope takes encoded: their names, which are longer
/// there.
const SCOPE_LABEL_BYTES: usize = 100;

/// The same for an attribute of the scope.
const ATTRIBUTE_LABEL_BYTES: usize = 20;

/// Bytes that a field may take beside its content, which is under 2 MB: its number and its length.
const FIELD_BYTES: usize = 5;

/// What one message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes, encoded.
    pub bytes: usize,
    /// The most points.
    pub points: usize,
    /// The most buckets of all histograms together.
    pub buckets: usize,
    /// About the most bytes where the labels of the scope, which a message says once, stand in each series: the consumer's
    /// bound, past which points go into overflow series.
    pub written: usize,
}

/// A metric without its points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The instrument's name.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// Its unit, as UCUM writes it.
    pub unit: String,
    /// What the points are.
    pub kind: Kind,
}

/// What the points of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Readings.
    Gauge,
    /// What was added.
    Sum {
        /// It only grows.
        is_monotonic: bool,
    },
    /// Counts in buckets with bounds of their own.
    Histogram,
    /// Counts in buckets that grow exponentially.
    Exponential,
}

/// A point of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// Of a gauge or a sum.
    Number(NumberDataPoint),
    /// Of a histogram.
    Histogram(HistogramDataPoint),
    /// Of an exponential histogram.
    Exponential(ExponentialHistogramDataPoint),
}

impl Point {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Number(point) => point.encoded_len(),
            Self::Histogram(point) => point.encoded_len(),
            Self::Exponential(point) => point.encoded_len(),
        }
    }

    /// How many buckets it has.
    fn buckets(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Histogram(point) => point.bucket_counts.len(),
            Self::Exponential(point) => {
                let of = |buckets: &Option<_>| buckets.as_ref().map_or(0, side_len);
                of(&point.positive).saturating_add(of(&point.negative))
            }
        }
    }
}

fn side_len(buckets: &opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets) -> usize {
    buckets.bucket_counts.len()
}

impl Head {
    fn encoded_len(&self) -> usize {
        // Three strings, the metric and its data, and what a sum says of itself.
        let text = self.name.len().saturating_add(self.description.len()).saturating_add(self.unit.len());
        text.saturating_add(5 * FIELD_BYTES + 4)
    }

    fn metric(&self) -> Metric {
        let temporality = i32::from(AggregationTemporality::Delta);
        let data = match self.kind {
            Kind::Gauge => Data::Gauge(Gauge::default()),
            Kind::Sum { is_monotonic } => {
                Data::Sum(Sum { is_monotonic, aggregation_temporality: temporality, ..Sum::default() })
            }
            Kind::Histogram => {
                Data::Histogram(Histogram { aggregation_temporality: temporality, ..Histogram::default() })
            }
            Kind::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
                aggregation_temporality: temporality,
                ..ExponentialHistogram::default()
            }),
        };
        Metric {
            name: self.name.clone(),
            description: self.description.clone(),
            unit: self.unit.clone(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

/// Fills messages, one after the other.
#[derive(Debug)]
pub struct Packer {
    bounds: Bounds,
    resource: Resource,
    schema_url: String,
    /// What a message has before its first point.
    base: usize,
    scope: ScopeMetrics,
    /// About what of resource and scope stands in each series.
    common: usize,
    job: usize,
    head: Head,
    /// The message has the scope, the metric already.
    is_open: (bool, bool),
    scopes: Vec<ScopeMetrics>,
    bytes: usize,
    points: usize,
    buckets: usize,
    /// What the points take beyond `bytes` where they are written.
    repeated: usize,
    done: Vec<Vec<u8>>,
    too_large: u64,
}

impl Packer {
    /// An empty first message. A resource that would take more than half of it is left out.
    pub fn new(bounds: Bounds, resource: Resource, schema_url: String) -> Self {
        let base = resource.encoded_len().saturating_add(schema_url.len()).saturating_add(2 * FIELD_BYTES);
        if base > bounds.bytes / 2 {
            return Self::new(bounds, Resource::default(), String::new());
        }
        let is_job = |key: &str| key == "service.name" || key == "service.namespace";
        let job = resource.attributes.iter().filter(|own| is_job(&own.key)).map(prost::Message::encoded_len).sum();
        Self {
            bounds,
            job,
            common: 0,
            repeated: 0,
            resource,
            schema_url,
            base,
            scope: ScopeMetrics::default(),
            head: Head { name: String::new(), description: String::new(), unit: String::new(), kind: Kind::Gauge },
            is_open: (false, false),
            scopes: Vec::new(),
            bytes: base,
            points: 0,
            buckets: 0,
            done: Vec::new(),
            too_large: 0,
        }
    }

    /// What comes is of this scope.
    pub fn scope(&mut self, scope: InstrumentationScope, schema_url: String) {
        let attributes = scope.attributes.len().saturating_mul(ATTRIBUTE_LABEL_BYTES);
        self.scope = ScopeMetrics { scope: Some(scope), metrics: Vec::new(), schema_url };
        let labels = self.scope.encoded_len().saturating_add(attributes).saturating_add(SCOPE_LABEL_BYTES);
        self.common = labels.saturating_add(self.job);
        self.is_open = (false, false);
    }

    /// What comes is of this metric.
    pub fn metric(&mut self, head: Head) {
        self.head = head;
        self.is_open.1 = false;
    }

    /// Adds a point of the metric, of its kind.
    pub fn point(&mut self, point: Point) {
        let size = point.encoded_len().saturating_add(FIELD_BYTES);
        let head = self.head.encoded_len();
        let scope = self.scope.encoded_len().saturating_add(FIELD_BYTES);
        let needed = match self.is_open {
            (true, true) => size,
            (true, false) => size.saturating_add(head),
            (false, _) => size.saturating_add(head).saturating_add(scope),
        };
        let buckets = point.buckets();
        let fits = self.bytes.saturating_add(needed) <= self.bounds.bytes
            && self.points < self.bounds.points
            && self.bytes.saturating_add(needed).saturating_add(self.repeated).saturating_add(self.common)
                <= self.bounds.written
            && self.buckets.saturating_add(buckets) <= self.bounds.buckets;
        if fits {
            self.push(point, needed, buckets);
            return;
        }
        let alone = size.saturating_add(head).saturating_add(scope);
        if self.base.saturating_add(alone) > self.bounds.bytes || buckets > self.bounds.buckets {
            self.too_large = self.too_large.saturating_add(1);
            return;
        }
        self.finish();
        self.push(point, alone, buckets);
    }

    /// The messages, and how many points were larger than one.
    pub fn into_messages(mut self) -> (Vec<Vec<u8>>, u64) {
        self.finish();
        (self.done, self.too_large)
    }

    fn push(&mut self, point: Point, needed: usize, buckets: usize) {
        if !self.is_open.0 {
            self.scopes.push(self.scope.clone());
        }
        let Some(scope) = self.scopes.last_mut() else { return };
        if self.is_open != (true, true) {
            scope.metrics.push(self.head.metric());
            self.is_open = (true, true);
        }
        match (scope.metrics.last_mut().and_then(|metric| metric.data.as_mut()), point) {
            (Some(Data::Gauge(gauge)), Point::Number(point)) => gauge.data_points.push(point),
            (Some(Data::Sum(sum)), Point::Number(point)) => sum.data_points.push(point),
            (Some(Data::Histogram(histogram)), Point::Histogram(point)) => histogram.data_points.push(point),
            (Some(Data::ExponentialHistogram(histogram)), Point::Exponential(point)) => {
                histogram.data_points.push(point);
            }
            _ => {
                // A point of another kind than its metric, which nobody makes.
                self.too_large = self.too_large.saturating_add(1);
                return;
            }
        }
        self.bytes = self.bytes.saturating_add(needed);
        self.repeated = self.repeated.saturating_add(self.common);
        self.buckets = self.buckets.saturating_add(buckets);
        self.points = self.points.saturating_add(1);
    }

    fn finish(&mut self) {
        let scope_metrics = std::mem::take(&mut self.scopes);
        self.is_open = (false, false);
        (self.bytes, self.buckets, self.repeated) = (self.base, 0, 0);
        if std::mem::take(&mut self.points) > 0 {
            let (resource, schema_url) = (Some(self.resource.clone()), self.schema_url.clone());
            self.done.push(ResourceMetrics { resource, scope_metrics, schema_url }.encode_to_vec());
        }
    }
}
