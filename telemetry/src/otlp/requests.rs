//! Export requests of bounded size.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric::Data},
};
use tributary_proto::Message as _;

/// The most bytes of a request, uncompressed and as protobuf. Collectors take 20 MiB by default, and some backends 4 MB
/// or less; JSON is up to three times as long.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Bytes that the wrapping of a metric takes at most beside its resource: tags and lengths of four messages.
const WRAP_BYTES: usize = 32;

/// Cuts `resources` into requests of at most `limit` bytes, in order. A metric is cut between its data points where it
/// must be; a single point that is over the limit goes out alone. No points, no request.
pub fn split(resources: Vec<ResourceMetrics>, limit: usize) -> Vec<ExportMetricsServiceRequest> {
    let mut requests = Requests { done: Vec::new(), open: ExportMetricsServiceRequest::default(), bytes: 0, limit };
    for resource in resources {
        let ResourceMetrics { resource, scope_metrics, schema_url } = resource;
        for ScopeMetrics { scope, metrics, schema_url: scope_schema_url } in scope_metrics {
            let head = ResourceMetrics {
                resource: resource.clone(),
                scope_metrics: vec![ScopeMetrics { scope, metrics: Vec::new(), schema_url: scope_schema_url }],
                schema_url: schema_url.clone(),
            };
            requests.begin(&head);
            for metric in metrics {
                requests.add(&head, metric);
            }
        }
    }
    requests.finish()
}

/// How many data points a request has.
pub fn data_points(request: &ExportMetricsServiceRequest) -> u64 {
    let metrics = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics).flat_map(|s| &s.metrics);
    metrics.map(|metric| u64::try_from(points(metric)).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

/// Halves a request that a server finds too large; `None` where it has one data point.
pub fn halve(request: ExportMetricsServiceRequest) -> Option<Vec<ExportMetricsServiceRequest>> {
    if data_points(&request) < 2 {
        return None;
    }
    // By size, so that both halves are about equal; below the largest point there is nothing to halve by size, and
    // then point by point is what is left.
    let bytes = request.encoded_len();
    let mut limit = bytes / 2;
    loop {
        let halves = split(request.resource_metrics.clone(), limit);
        if halves.len() > 1 || limit == 0 {
            return Some(halves);
        }
        limit /= 2;
    }
}

struct Requests {
    done: Vec<ExportMetricsServiceRequest>,
    open: ExportMetricsServiceRequest,
    /// Of `open`, at most.
    bytes: usize,
    limit: usize,
}

impl Requests {
    fn begin(&mut self, head: &ResourceMetrics) {
        self.bytes = self.bytes.saturating_add(head.encoded_len()).saturating_add(WRAP_BYTES);
        self.open.resource_metrics.push(head.clone());
    }

    fn add(&mut self, head: &ResourceMetrics, metric: Metric) {
        let bytes = metric.encoded_len().saturating_add(WRAP_BYTES);
        if self.bytes.saturating_add(bytes) <= self.limit {
            self.push(metric, bytes);
            return;
        }
        // Not in what is left of this one. It may fit the next whole; if not, its points are dealt out.
        let head_bytes = head.encoded_len().saturating_add(WRAP_BYTES);
        let room = self.limit.saturating_sub(head_bytes);
        for part in chunk(metric, room) {
            let bytes = part.encoded_len().saturating_add(WRAP_BYTES);
            if self.bytes.saturating_add(bytes) > self.limit {
                self.close();
                self.begin(head);
            }
            self.push(part, bytes);
        }
    }

    fn push(&mut self, metric: Metric, bytes: usize) {
        let scope = self.open.resource_metrics.last_mut().and_then(|resource| resource.scope_metrics.last_mut());
        if let Some(scope) = scope {
            scope.metrics.push(metric);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn close(&mut self) {
        let mut request = std::mem::take(&mut self.open);
        self.bytes = 0;
        request
            .resource_metrics
            .retain(|resource| resource.scope_metrics.iter().any(|scope| !scope.metrics.is_empty()));
        if !request.resource_metrics.is_empty() {
            self.done.push(request);
        }
    }

    fn finish(mut self) -> Vec<ExportMetricsServiceRequest> {
        self.close();
        self.done
    }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(exponential)) => exponential.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}

/// Cuts a metric between its points into parts of at most `room` bytes, one point at least.
fn chunk(metric: Metric, room: usize) -> Vec<Metric> {
    let Metric { name, description, unit, metadata, data } = metric;
    let with = |data| Metric {
        name: name.clone(),
        description: description.clone(),
        unit: unit.clone(),
        metadata: metadata.clone(),
        data: Some(data),
    };
    match data {
        Some(Data::Gauge(mut gauge)) => {
            let points = std::mem::take(&mut gauge.data_points);
            chunks(points, room.saturating_sub(with(Data::Gauge(gauge.clone())).encoded_len()), |data_points| {
                with(Data::Gauge(opentelemetry_proto::tonic::metrics::v1::Gauge { data_points }))
            })
        }
        Some(Data::Sum(mut sum)) => {
            let points = std::mem::take(&mut sum.data_points);
            chunks(points, room.saturating_sub(with(Data::Sum(sum.clone())).encoded_len()), |data_points| {
                with(Data::Sum(opentelemetry_proto::tonic::metrics::v1::Sum { data_points, ..sum.clone() }))
            })
        }
        Some(Data::Histogram(mut histogram)) => {
            let points = std::mem::take(&mut histogram.data_points);
            chunks(points, room.saturating_sub(with(Data::Histogram(histogram.clone())).encoded_len()), |data_points| {
                with(Data::Histogram(opentelemetry_proto::tonic::metrics::v1::Histogram {
                    data_points,
                    ..histogram.clone()
                }))
            })
        }
        Some(Data::ExponentialHistogram(mut exponential)) => {
            let points = std::mem::take(&mut exponential.data_points);
            let head = with(Data::ExponentialHistogram(exponential.clone())).encoded_len();
            chunks(points, room.saturating_sub(head), |data_points| {
                with(Data::ExponentialHistogram(opentelemetry_proto::tonic::metrics::v1::ExponentialHistogram {
                    data_points,
                    ..exponential.clone()
                }))
            })
        }
        // The model has no summaries.
        Some(data @ Data::Summary(_)) => vec![with(data)],
        None => Vec::new(),
    }
}

fn chunks<P: tributary_proto::Message>(points: Vec<P>, room: usize, make: impl Fn(Vec<P>) -> Metric) -> Vec<Metric> {
    let mut parts = Vec::new();
    let mut open = Vec::new();
    let mut used = 0_usize;
    for point in points {
        // A tag, and a length of at most five bytes; the lengths around grow by as much.
        let bytes = point.encoded_len().saturating_add(16);
        if used.saturating_add(bytes) > room && !open.is_empty() {
            parts.push(make(std::mem::take(&mut open)));
            used = 0;
        }
        used = used.saturating_add(bytes);
        open.push(point);
    }
    if !open.is_empty() {
        parts.push(make(open));
    }
    parts
}
