//! The requests of an export, each made when it is its turn: of 100,000 series as messages only some thousand are in memory.

use std::vec::IntoIter;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

use super::{Export, OtlpOptions, origin, points::Stamp, requests::split, resources};
use crate::{Place, Snapshot, custom::TARGET_INFO, reserve::series_bytes};

/// The most series that are made messages at a time. Every resource that has some of them is in the requests of each such
/// part, so it is not few.
const PART_SERIES: usize = 4_000;

/// And about how many bytes of them in an encoded state, of which a request has one to three times as many.
const PART_BYTES: usize = 2 << 20;

/// The requests of an export, in order.
#[derive(Debug)]
pub struct Requests {
    /// A clone, so that the state can go on between two requests.
    state: Snapshot,
    stamp: Stamp,
    options: OtlpOptions,
    limit: usize,
    /// The last series that was made a message.
    after: Option<Place>,
    is_done: bool,
    made: IntoIter<ExportMetricsServiceRequest>,
}

impl Requests {
    /// Requests of at most `limit` bytes, as [`split`] makes them.
    #[must_use]
    pub fn new(export: Export<'_>, options: &OtlpOptions, limit: usize) -> Self {
        let (state, stamp) = export.parts();
        let (state, options, made) = (state.clone(), options.clone(), Vec::new().into_iter());
        Self { state, stamp, options, limit, after: None, is_done: false, made }
    }

    /// Makes the messages of the next series.
    fn make(&mut self) {
        let (mut bytes, mut series) = (0_usize, Vec::new());
        let after = self.after.take();
        for (family, labels, value) in self.state.series_after(after.as_ref()) {
            if family.name() != TARGET_INFO {
                bytes = bytes.saturating_add(series_bytes(labels, value.value()));
                series.push((family, labels, value));
            }
            if series.len() >= PART_SERIES || bytes >= PART_BYTES {
                break;
            }
        }
        self.after = series.last().map(|(family, labels, _)| Place::new(family, labels));
        let targets = origin::targets(&self.state);
        let made = split(resources(series.into_iter(), &targets, self.stamp, &self.options), self.limit);
        self.is_done = self.after.is_none();
        self.made = made.into_iter();
    }
}

impl Iterator for Requests {
    type Item = ExportMetricsServiceRequest;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(request) = self.made.next() {
                return Some(request);
            }
            if self.is_done {
                return None;
            }
            self.make();
        }
    }
}
