//! OpenTelemetry's points in a record, and what they must come to. Exponential histograms are summed up as the observations
//! that they stand for, and only at the end on the one scale that all of them can have.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point::Buckets,
        metric::Data, number_data_point::Value as Number,
    },
    resource::v1::Resource,
};
use tributary_proto::Message as _;
use tributary_telemetry::{ExponentialBuckets, UpDown, Value};

use crate::chance::Chance;

const DELTA: i32 = AggregationTemporality::Delta as i32;
const AMOUNT_BOUNDS: [f64; 3] = [0.5, 4.0, 20.0];
/// Buckets of one sign that a state keeps (`docs/otel-points.md`).
const MOST_BUCKETS: i32 = 160;
/// Observations are between 2^-50 and 2^50: on the scales that are sent they are more buckets than a state keeps.
const OCTAVES: i32 = 50;

/// A bucket of an exponential histogram as it was sent: its scale and its index there.
type Bucket = (i32, i32);

/// What one record says in points.
#[derive(Clone, Copy)]
pub(crate) struct Points {
    payments: u32,
    open: i32,
    amount: usize,
    amounts: u32,
    amount_sum: u32,
    scale: i32,
    zeros: u32,
    above: (i32, u32),
    /// Sometimes none.
    below: (i32, u32),
    wait_sum: i32,
}

impl Points {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let small = |chance: &mut Chance, most| i32::try_from(chance.below(most)).unwrap();
        let scale = 2 + small(chance, 4);
        let index = |chance: &mut Chance| {
            let half = OCTAVES << scale;
            small(chance, usize::try_from(2 * half).unwrap()) - half
        };
        let count = |chance: &mut Chance, most| u32::try_from(chance.below(most)).unwrap();
        let (above, below) = ((index(chance), 1 + count(chance, 9)), (index(chance), count(chance, 3)));
        let wait_sum = small(chance, 1 << 20);
        Self {
            payments: count(chance, 50),
            open: small(chance, 100) - 50,
            amount: chance.below(AMOUNT_BOUNDS.len() + 1),
            amounts: 1 + count(chance, 9),
            amount_sum: count(chance, 1 << 20),
            scale,
            zeros: count(chance, 3),
            above,
            below,
            wait_sum: if below.1 > 0 { -wait_sum } else { wait_sum },
        }
    }

    /// An encoded `ResourceMetrics`, whose points all have this label.
    pub(crate) fn encode(&self, resolver_id: &str) -> Vec<u8> {
        let attributes = vec![text("resolver_id", resolver_id)];
        let number =
            |value, attributes| NumberDataPoint { attributes, value: Some(value), ..NumberDataPoint::default() };
        let sum = |is_monotonic, value| {
            let data_points = vec![number(Number::AsInt(value), attributes.clone())];
            Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic })
        };
        let mut bucket_counts = vec![0; AMOUNT_BOUNDS.len() + 1];
        bucket_counts[self.amount] = u64::from(self.amounts);
        let amounts = HistogramDataPoint {
            attributes: attributes.clone(),
            count: u64::from(self.amounts),
            sum: Some(f64::from(self.amount_sum)),
            bucket_counts,
            explicit_bounds: AMOUNT_BOUNDS.to_vec(),
            ..HistogramDataPoint::default()
        };
        let buckets = |(offset, count): (i32, u32)| {
            (count > 0).then(|| Buckets { offset, bucket_counts: vec![u64::from(count)] })
        };
        let waits = ExponentialHistogramDataPoint {
            attributes: attributes.clone(),
            count: [self.zeros, self.above.1, self.below.1].into_iter().map(u64::from).sum(),
            sum: Some(f64::from(self.wait_sum)),
            scale: self.scale,
            zero_count: u64::from(self.zeros),
            positive: buckets(self.above),
            negative: buckets(self.below),
            ..ExponentialHistogramDataPoint::default()
        };
        let amounts = Histogram { data_points: vec![amounts], aggregation_temporality: DELTA };
        let waits = ExponentialHistogram { data_points: vec![waits], aggregation_temporality: DELTA };
        let metrics = vec![
            metric("till.payments", sum(true, i64::from(self.payments))),
            metric("till.open", sum(false, i64::from(self.open))),
            metric("till.amount", Data::Histogram(amounts)),
            metric("till.wait", Data::ExponentialHistogram(waits)),
        ];
        let scope = InstrumentationScope { name: "till".to_owned(), ..InstrumentationScope::default() };
        let resource = Resource { attributes: vec![text("service.name", "till")], ..Resource::default() };
        ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: String::new(),
        }
        .encode_to_vec()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

/// What the points of many records add up to.
#[derive(Default)]
pub(crate) struct Sums {
    totals: PointTotals,
    above: BTreeMap<Bucket, u64>,
    below: BTreeMap<Bucket, u64>,
}

/// What the metrics must say of the points of one producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PointTotals {
    payments: u64,
    open: i64,
    amounts: BTreeMap<usize, u64>,
    amount_sum: i64,
    wait_scale: i32,
    zeros: u64,
    above: BTreeMap<i32, u64>,
    below: BTreeMap<i32, u64>,
    wait_sum: i64,
}

impl Sums {
    /// Takes in one record, so many times.
    pub(crate) fn add(&mut self, points: &Points, times: u64) {
        let signed = i64::try_from(times).unwrap();
        let totals = &mut self.totals;
        totals.payments += times * u64::from(points.payments);
        totals.open += signed * i64::from(points.open);
        *totals.amounts.entry(points.amount).or_default() += times * u64::from(points.amounts);
        totals.amount_sum += signed * i64::from(points.amount_sum);
        totals.zeros += times * u64::from(points.zeros);
        totals.wait_sum += signed * i64::from(points.wait_sum);
        for (buckets, (index, count)) in [(&mut self.above, points.above), (&mut self.below, points.below)] {
            if count > 0 {
                *buckets.entry((points.scale, index)).or_default() += times * u64::from(count);
            }
        }
    }

    /// On the finest scale that no record is coarser than, and on which neither sign has too many buckets.
    pub(crate) fn totals(self) -> PointTotals {
        let Self { totals, above, below } = self;
        let coarsest = above.keys().chain(below.keys()).map(|(scale, _)| *scale).min().unwrap_or_default();
        for scale in (coarsest - 20..=coarsest).rev() {
            let [above, below] = [&above, &below].map(|buckets| on(scale, buckets));
            if [&above, &below].into_iter().all(|buckets| width(buckets) <= MOST_BUCKETS) {
                return PointTotals { wait_scale: scale, above, below, ..totals };
            }
        }
        panic!("no scale has room for them")
    }
}

/// The same on a coarser scale: a bucket there is 2, 4, 8 … of those next to each other.
fn on(scale: i32, buckets: &BTreeMap<Bucket, u64>) -> BTreeMap<i32, u64> {
    let mut coarser = BTreeMap::new();
    for ((sent_scale, index), count) in buckets {
        *coarser.entry(index.div_euclid(1 << (sent_scale - scale))).or_default() += count;
    }
    coarser
}

fn width(buckets: &BTreeMap<i32, u64>) -> i32 {
    let ends = buckets.first_key_value().zip(buckets.last_key_value());
    ends.map_or(0, |((first, _), (last, _))| last - first + 1)
}

impl PointTotals {
    /// Takes in a series of the metrics, where it is one of these.
    pub(crate) fn show(&mut self, family: &str, value: &Value) {
        let whole = |sum: f64| {
            assert_eq!(sum.fract().abs(), 0.0, "{sum} of whole numbers");
            format!("{sum}").parse::<i64>().unwrap()
        };
        match (family, value) {
            ("till_payments", Value::Counter(count)) => self.payments = *count,
            ("till_open", Value::UpDown(UpDown::Integer(sum))) => self.open = *sum,
            ("till_amount", Value::Histogram(histogram)) => {
                self.amounts = filled(histogram.bucket_counts().iter().copied().enumerate());
                self.amount_sum = whole(histogram.sum().to_f64());
            }
            ("till_wait", Value::Exponential(histogram)) => {
                let buckets =
                    |buckets: &ExponentialBuckets| filled((buckets.offset..).zip(buckets.counts.iter().copied()));
                self.wait_scale = histogram.scale();
                self.zeros = histogram.zero_count();
                self.above = buckets(histogram.positive());
                self.below = buckets(histogram.negative());
                self.wait_sum = whole(histogram.sum().expect("all records say one"));
            }
            (name, value) => assert!(!name.starts_with("till_"), "{name} is {value:?}"),
        }
    }
}

fn filled<K: Ord>(buckets: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    buckets.filter(|(_, count)| *count > 0).collect()
}
