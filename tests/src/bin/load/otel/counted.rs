//! What arrived: recordings that were not sent would be cheap.

use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, metric::Data, number_data_point::Value};
use tributary_proto::{Message as _, envelope::Envelope, v1};
use tributary_tests::collector::Received;

use crate::alone::messages;

/// What these calls of the queue say of a counter.
pub(crate) fn sent(calls: &[Received], counter: &str) -> u64 {
    let of = |message: Vec<u8>| -> u64 {
        let envelope = Envelope::decode(&message).unwrap();
        let points = ResourceMetrics::decode(envelope.resource_metrics.as_slice()).unwrap();
        total(&points, counter) + total_of_families(&envelope.metrics().unwrap(), counter)
    };
    calls.iter().flat_map(messages).map(of).sum()
}

/// What these requests say of it.
pub(crate) fn posted(requests: &[Received], counter: &str) -> u64 {
    let of = |received: &Received| -> u64 {
        let request = received.request().unwrap();
        request.resource_metrics.iter().map(|metrics| total(metrics, counter)).sum()
    };
    requests.iter().map(of).sum()
}

fn total(metrics: &ResourceMetrics, counter: &str) -> u64 {
    let metrics = metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics).filter(|metric| metric.name == counter);
    let points = metrics.flat_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.as_slice(),
        data => panic!("{counter}: {data:?}"),
    });
    let count = |value: &Option<Value>| match value {
        Some(Value::AsInt(count)) => u64::try_from(*count).unwrap(),
        value => panic!("{counter}: {value:?}"),
    };
    points.map(|point| count(&point.value)).sum()
}

/// What families without OpenTelemetry say of it.
fn total_of_families(metrics: &v1::MetricSet, counter: &str) -> u64 {
    let families = metrics.families.iter().filter(|family| family.name == counter);
    let count = |series: &v1::Series| match series.value {
        Some(v1::series::Value::Counter(count)) => count,
        ref value => panic!("{counter}: {value:?}"),
    };
    families.flat_map(|family| &family.series).map(count).sum()
}
