//! The same record in several messages of one batch: a producer that resends is answered by two messages.

use tributary_proto::envelope::StreamId;

/// For each record, by stream and sequence, the place of the first that is the same: its own where nothing before it is.
///
/// Sorted numbers: a batch has a hundred of them, for which a map takes three times as much.
pub(super) fn firsts(records: impl Iterator<Item = (StreamId, u64)>) -> Vec<usize> {
    let number =
        |(index, (stream_id, sequence)): (usize, (StreamId, u64))| (u128::from_be_bytes(stream_id.0), sequence, index);
    let mut sorted: Vec<_> = records.enumerate().map(number).collect();
    sorted.sort_unstable();
    let mut firsts = vec![0; sorted.len()];
    let mut last = None;
    for (stream, sequence, index) in sorted {
        let first = match last {
            Some((of_last, first)) if of_last == (stream, sequence) => first,
            _ => index,
        };
        last = Some(((stream, sequence), first));
        if let Some(place) = firsts.get_mut(index) {
            *place = first;
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_same_is_the_one_that_came_first() {
        let record = |stream: u8, sequence| (StreamId([stream; 16]), sequence);
        let records =
            [record(9, 1), record(1, 2), record(9, 1), record(1, 1), record(9, 2), record(9, 1), record(1, 2)];
        assert_eq!(firsts(records.into_iter()), [0, 1, 0, 3, 4, 0, 1]);
        assert_eq!(firsts([].into_iter()), [0_usize; 0]);
    }
}
