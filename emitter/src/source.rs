//! Metrics that something else in the isolate aggregates, such as an OpenTelemetry SDK: the place where it says so, and
//! where whoever seals asks for them. So one stream carries them beside families and flag logs.

use std::{cell::RefCell, fmt, rc::Rc};

thread_local! {
    static SOURCE: RefCell<Option<Rc<dyn Source>>> = const { RefCell::new(None) };
}

/// Something that aggregates and can be emptied.
pub trait Source: fmt::Debug {
    /// Takes what was recorded since the last time. It is the caller's from now on: what is taken is not given again.
    fn collect(&self) -> Collected;
}

/// What a source gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Encoded `opentelemetry.proto.metrics.v1.ResourceMetrics` of delta temporality, each for one message and of at most
    /// `MAX_FRAGMENT_BYTES`.
    pub resource_metrics: Vec<Vec<u8>>,
    /// Points that no message can carry: values that are no numbers, or more bytes than a message has.
    pub invalid: u64,
    /// Points past a bound of the isolate.
    pub limited: u64,
}

/// Makes `source` the one that is asked in this isolate. There is one; a second replaces the first.
pub fn set_source(source: Rc<dyn Source>) {
    SOURCE.with_borrow_mut(|place| *place = Some(source));
}

/// Says whether there is a source: only when it is asked it knows whether it has anything.
pub fn has_source() -> bool {
    SOURCE.with_borrow(Option::is_some)
}

/// Asks the source, if there is one. It may run code of the Worker's own: nothing of the isolate may be borrowed meanwhile.
pub fn collect() -> Collected {
    // Not borrowed while it works, either.
    let source = SOURCE.with_borrow(Clone::clone);
    source.map(|source| source.collect()).unwrap_or_default()
}
