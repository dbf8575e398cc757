//! What the Ledger remembers of one stream: a high-water mark and the few gaps below it.
//!
//! Sequences of a stream are 1, 2, 3 … without holes, so everything up to the high-water mark has been seen except the
//! gaps. A row is small whatever the number of records, and a record is looked up without one row per record.

use crate::limits::{MAX_GAPS_PER_STREAM, MAX_SEQUENCE};

/// What was seen of one stream.
///
/// Invariants: gaps are sorted, disjoint, not adjacent, not empty, and end below the high-water mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamProgress {
    high_water: u64,
    gaps: Vec<Gap>,
}

/// Sequences that have not been seen: `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl Gap {
    /// How many sequences it holds.
    pub fn records(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// A stored row breaks an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored progress of a stream is corrupt")]
pub struct CorruptProgress;

/// A sequence that the stream cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// 0, or above [`MAX_SEQUENCE`].
    #[error("sequence {0} is out of range")]
    OutOfRange(u64),
    /// It was seen before.
    #[error("sequence {0} was seen before")]
    Seen(u64),
}

impl StreamProgress {
    /// Reads progress that was stored.
    ///
    /// # Errors
    /// [`CorruptProgress`] where an invariant does not hold.
    pub fn restore(high_water: u64, gaps: Vec<Gap>) -> Result<Self, CorruptProgress> {
        if high_water > MAX_SEQUENCE || gaps.len() > MAX_GAPS_PER_STREAM {
            return Err(CorruptProgress);
        }
        let mut free_from = 1;
        for gap in &gaps {
            if gap.first < free_from || gap.last < gap.first || gap.last >= high_water {
                return Err(CorruptProgress);
            }
            // The sequence right behind a gap has been seen: gaps are never adjacent.
            free_from = gap.last.saturating_add(2);
        }
        Ok(Self { high_water, gaps })
    }

    /// The highest sequence seen; 0 before the first.
    pub fn high_water(&self) -> u64 {
        self.high_water
    }

    /// The sequences below the high-water mark that have not been seen.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many records are missing below the high-water mark: in flight, or lost in transit.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().fold(0, |sum, gap| sum.saturating_add(gap.records()))
    }

    /// True when the sequence has been seen, or when the bound on gaps made it count as seen.
    pub fn has_seen(&self, sequence: u64) -> bool {
        sequence <= self.high_water && !self.gaps.iter().any(|gap| gap.first <= sequence && sequence <= gap.last)
    }

    /// Notes a sequence as seen, and returns how many missing records the bound on gaps gave up for it (0 normally).
    ///
    /// Where there would be more than [`MAX_GAPS_PER_STREAM`] gaps, the lowest is closed: its records would be refused
    /// as seen if they still came. A record may then be missed and is counted, but none is ever counted twice.
    ///
    /// # Errors
    /// [`SequenceError`]; nothing changes then.
    pub fn note(&mut self, sequence: u64) -> Result<u64, SequenceError> {
        if sequence == 0 || sequence > MAX_SEQUENCE {
            return Err(SequenceError::OutOfRange(sequence));
        }
        if sequence > self.high_water {
            let expected = self.high_water.saturating_add(1);
            if sequence > expected {
                self.gaps.push(Gap { first: expected, last: sequence.saturating_sub(1) });
            }
            self.high_water = sequence;
            return Ok(self.bound_gaps());
        }
        let Some(at) = self.gaps.iter().position(|gap| gap.first <= sequence && sequence <= gap.last) else {
            return Err(SequenceError::Seen(sequence));
        };
        let gap = self.gaps.remove(at);
        let below = Gap { first: gap.first, last: sequence.saturating_sub(1) };
        let above = Gap { first: sequence.saturating_add(1), last: gap.last };
        // Inserted from above to below, so that both end at the place of the gap that they are left of.
        for rest in [above, below] {
            if rest.first <= rest.last {
                self.gaps.insert(at, rest);
            }
        }
        Ok(self.bound_gaps())
    }

    fn bound_gaps(&mut self) -> u64 {
        let surplus = self.gaps.len().saturating_sub(MAX_GAPS_PER_STREAM);
        self.gaps.drain(..surplus).fold(0, |sum, gap| sum.saturating_add(gap.records()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn gaps(pairs: &[(u64, u64)]) -> Vec<Gap> {
        pairs.iter().map(|&(first, last)| Gap { first, last }).collect()
    }

    #[test]
    fn a_stream_in_order_has_no_gaps() {
        let mut stream = StreamProgress::default();
        for sequence in 1..=1000 {
            assert_eq!(stream.note(sequence), Ok(0));
        }
        assert_eq!((stream.high_water(), stream.gaps()), (1000, [].as_slice()));
        assert!(stream.has_seen(1) && stream.has_seen(1000) && !stream.has_seen(1001));
    }

    #[test]
    fn a_late_record_splits_and_closes_its_gap() {
        let mut stream = StreamProgress::default();
        stream.note(10).unwrap();
        assert_eq!(stream.gaps(), gaps(&[(1, 9)]));
        stream.note(5).unwrap();
        assert_eq!(stream.gaps(), gaps(&[(1, 4), (6, 9)]));
        for sequence in [1, 9, 4, 6] {
            stream.note(sequence).unwrap();
        }
        assert_eq!(stream.gaps(), gaps(&[(2, 3), (7, 8)]));
        assert_eq!(stream.missing(), 4);
        for sequence in [3, 2, 7, 8] {
            stream.note(sequence).unwrap();
        }
        assert_eq!(stream, StreamProgress { high_water: 10, gaps: vec![] });
    }

    #[test]
    fn a_repeated_record_is_refused_and_changes_nothing() {
        let mut stream = StreamProgress::default();
        stream.note(3).unwrap();
        let before = stream.clone();
        assert_eq!(stream.note(3), Err(SequenceError::Seen(3)));
        assert_eq!(stream.note(0), Err(SequenceError::OutOfRange(0)));
        assert_eq!(stream.note(MAX_SEQUENCE + 1), Err(SequenceError::OutOfRange(MAX_SEQUENCE + 1)));
        assert_eq!(stream, before);
    }

    #[test]
    fn past_the_bound_the_lowest_gap_is_given_up_and_counted_never_applied_again() {
        let mut stream = StreamProgress::default();
        let mut given_up = 0;
        for k in 1..=200u64 {
            given_up += stream.note(k * 10).unwrap();
        }
        assert_eq!(stream.gaps().len(), MAX_GAPS_PER_STREAM);
        assert_eq!(given_up, (200 - 64) * 9);
        assert_eq!(stream.note(5), Err(SequenceError::Seen(5)), "given up: refused, not counted twice");
        assert_eq!(StreamProgress::restore(stream.high_water(), stream.gaps().to_vec()), Ok(stream));
    }

    #[test]
    fn a_corrupt_row_is_an_error_and_not_an_empty_stream() {
        for bad in
            [gaps(&[(0, 2)]), gaps(&[(3, 2)]), gaps(&[(5, 10)]), gaps(&[(1, 2), (3, 4)]), gaps(&[(4, 5), (1, 2)])]
        {
            assert_eq!(StreamProgress::restore(10, bad), Err(CorruptProgress));
        }
        assert_eq!(StreamProgress::restore(MAX_SEQUENCE + 1, vec![]), Err(CorruptProgress));
        assert_eq!(StreamProgress::restore(u64::MAX, gaps(&[(1, u64::MAX)])), Err(CorruptProgress));
    }

    proptest! {
        #[test]
        fn any_order_with_any_duplicates_notes_each_sequence_exactly_once(
            sequences in proptest::collection::vec(1u64..120, 0..400),
        ) {
            let mut stream = StreamProgress::default();
            let mut oracle = BTreeSet::new();
            for sequence in sequences {
                let fresh = oracle.insert(sequence);
                prop_assert_eq!(stream.has_seen(sequence), !fresh);
                prop_assert_eq!(stream.note(sequence).is_ok(), fresh);
                prop_assert_eq!(stream.high_water(), *oracle.last().unwrap());
                prop_assert_eq!(stream.missing(), stream.high_water() - oracle.len() as u64);
                let restored = StreamProgress::restore(stream.high_water(), stream.gaps().to_vec());
                prop_assert_eq!(restored.as_ref(), Ok(&stream));
            }
        }
    }
}
