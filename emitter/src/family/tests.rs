use tributary_telemetry::{LabelSet, Number, Value};

use super::*;

static ORDERS: Family<Counter, 1> = Family::counter("orders", "Orders.", ["country"]);
static SECONDS: Family<Histogram, 0> = Family::histogram("checkout_seconds", "Time.", [], &[0.5, 1.0]).unit("seconds");
static STOCK: Family<Gauge, 1> = Family::gauge("stock", "Stock.", ["item"]);

#[test]
fn what_is_recorded_through_handles_is_drained_once() {
    let orders = ORDERS.with(["SE"]);
    orders.increment();
    orders.add(4);
    ORDERS.with(["SE"]).increment();
    SECONDS.with([]).observe(0.5);
    STOCK.with(["hat"]).set(7.5);
    assert!(has_recorded());
    let Recorded { delta, invalid, limited } = drain();
    let of = |family: &str, pairs: &[(&str, &str)]| {
        delta.get(family, &LabelSet::from_pairs(pairs.iter().copied()).unwrap()).cloned()
    };
    assert_eq!(of("orders", &[("country", "SE")]), Some(Value::Counter(6)));
    let Some(Value::Histogram(seconds)) = of("checkout_seconds", &[]) else { panic!("no histogram") };
    assert_eq!((seconds.bucket_counts(), seconds.sum()), ([1, 0, 0].as_slice(), Number::Float(0.5)));
    let Some(Value::Gauge(stock)) = of("stock", &[("item", "hat")]) else { panic!("no gauge") };
    assert_eq!(stock.value(), Number::Float(7.5));
    assert!(stock.time_ms() > 1_577_836_800_000, "a reading is made now");
    assert_eq!((invalid, limited), (0, 0));
    let described = delta.families().find(|family| family.descriptor().name() == "checkout_seconds").unwrap();
    assert_eq!((described.descriptor().unit(), described.descriptor().help()), ("seconds", "Time."));
    assert!(!has_recorded());
    assert_eq!(drain(), Recorded::default());
}

#[test]
fn a_constant_family_is_the_same_family_wherever_it_is_used() {
    const PAID: Family<Counter, 0> = Family::counter("paid", "Paid.", []);
    PAID.with([]).increment();
    PAID.with([]).increment();
    assert_eq!(drain().delta.get("paid", &LabelSet::empty()), Some(&Value::Counter(2)));
}
