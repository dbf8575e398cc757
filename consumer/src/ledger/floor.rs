//! What makes forgetting safe: how far back in time the Ledger can still tell a new record from an old one.
//!
//! A stream that is forgotten takes with it which of its records were seen. So forgetting raises the *floor* of the
//! stream's kind above the latest window that the stream was seen with, and a record of an unknown stream is refused
//! where its window ended before the floor: it may have been counted. It may also be new, in which case its metrics are
//! missed and it is counted as expired; none is ever counted twice. A row keeps the floor that held when it was made,
//! since the stream may have been known and forgotten before that.

use std::collections::BTreeMap;

use tributary_proto::v1::stored_ledger;

use super::commit::StreamKind;
use crate::limits::{MAX_CONSUMER_STREAMS, MAX_LEGACY_STREAMS, MAX_PRODUCER_STREAMS};

/// The floor of each kind of stream. It never falls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floors(BTreeMap<StreamKind, u64>);

/// Stored floors name a kind that is not known, or one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored floors are corrupt")]
pub struct CorruptFloors;

impl Floors {
    /// The floor of every kind at `floor_ms`.
    pub fn all_at(floor_ms: u64) -> Self {
        let mut floors = Self::default();
        for kind in StreamKind::ALL {
            floors.raise(kind, floor_ms);
        }
        floors
    }

    /// The earliest end of a window, in milliseconds since the epoch, that is taken from an unknown stream of this
    /// kind; 0 where none was ever forgotten.
    pub fn of(&self, kind: StreamKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// A stream of this kind is forgotten that was last seen with a window that ended at `last_seen_ms`.
    pub fn forget(&mut self, kind: StreamKind, last_seen_ms: u64) {
        self.raise(kind, last_seen_ms.saturating_add(1));
    }

    fn raise(&mut self, kind: StreamKind, floor_ms: u64) {
        if floor_ms > self.of(kind) {
            self.0.insert(kind, floor_ms);
        }
    }

    /// The floors as stored.
    pub fn to_wire(&self) -> Vec<stored_ledger::Floor> {
        let floor = |(kind, floor_ms): (&StreamKind, &u64)| stored_ledger::Floor {
            kind: kind.to_wire().into(),
            floor_ms: *floor_ms,
        };
        self.0.iter().map(floor).collect()
    }

    /// Reads stored floors.
    ///
    /// # Errors
    /// [`CorruptFloors`]
    pub fn from_wire(stored: &[stored_ledger::Floor]) -> Result<Self, CorruptFloors> {
        let mut floors = Self::default();
        for floor in stored {
            let kind = StreamKind::from_wire(floor.kind).ok_or(CorruptFloors)?;
            if floors.0.insert(kind, floor.floor_ms).is_some() {
                return Err(CorruptFloors);
            }
        }
        Ok(floors)
    }
}

/// How many streams of each kind are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamBounds {
    /// Isolates of producers.
    pub producer: u64,
    /// Messages of senders without streams.
    pub legacy: u64,
    /// Isolates of the consumer.
    pub consumer: u64,
}

impl Default for StreamBounds {
    fn default() -> Self {
        Self { producer: MAX_PRODUCER_STREAMS, legacy: MAX_LEGACY_STREAMS, consumer: MAX_CONSUMER_STREAMS }
    }
}

impl StreamBounds {
    /// How many streams of this kind have to be forgotten where there are `streams`; 0 within the bound.
    ///
    /// Past the bound a twentieth more is forgotten, so that looking for the longest silent, which reads every row, is
    /// done once for many streams.
    pub fn surplus(&self, kind: StreamKind, streams: u64) -> u64 {
        let bound = match kind {
            StreamKind::Producer => self.producer,
            StreamKind::Legacy => self.legacy,
            StreamKind::Consumer => self.consumer,
        };
        if streams <= bound { 0 } else { streams.saturating_sub(bound.saturating_sub(bound / 20)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_lies_above_every_stream_that_was_forgotten_and_never_falls() {
        let mut floors = Floors::default();
        assert_eq!(floors.of(StreamKind::Legacy), 0);
        for (last_seen_ms, floor_ms) in [(0, 1), (70, 71), (30, 71), (71, 72)] {
            floors.forget(StreamKind::Legacy, last_seen_ms);
            assert_eq!(floors.of(StreamKind::Legacy), floor_ms);
        }
        assert_eq!(floors.of(StreamKind::Producer), 0, "each kind has its own");
    }

    #[test]
    fn floors_read_back_as_stored_and_corrupt_ones_are_an_error() {
        let mut floors = Floors::default();
        floors.forget(StreamKind::Producer, 7);
        floors.forget(StreamKind::Consumer, 9);
        let stored = floors.to_wire();
        assert_eq!(Floors::from_wire(&stored), Ok(floors));
        let twice = [stored.clone(), stored].concat();
        assert_eq!(Floors::from_wire(&twice), Err(CorruptFloors));
        assert_eq!(Floors::from_wire(&[stored_ledger::Floor { kind: 9, floor_ms: 1 }]), Err(CorruptFloors));
    }

    #[test]
    fn past_the_bound_a_twentieth_more_is_forgotten_and_within_it_nothing() {
        let bounds = StreamBounds { producer: 100, legacy: 0, ..StreamBounds::default() };
        assert_eq!(bounds.surplus(StreamKind::Producer, 100), 0);
        assert_eq!(bounds.surplus(StreamKind::Producer, 101), 6);
        assert_eq!(bounds.surplus(StreamKind::Legacy, 3), 3);
    }
}
