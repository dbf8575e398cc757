//! Answers that are made piece by piece: a text of 100,000 series has 15 MB, and the isolate 128 MB for all that it does.
//!
//! A published text is passed on as it comes ([`Tail`]). Any other is made of the encoded state, a family at a time
//! ([`Pieces`]): in memory are that and one family, whatever the client's pace. How many bytes of states may wait for
//! clients is bounded ([`Held`]).
//!
//! What does not read back breaks the answer off, which no scraper takes for a whole one: by then its status is sent.

use std::{cell::Cell, rc::Rc};

use tributary_telemetry::{DecodeError, Families};

use super::{
    metrics::{self, AGE},
    negotiate::Format,
    options::View,
};

/// A text that is longer is answered piece by piece. This one has some 15,000 lines.
pub const MAX_WHOLE_BYTES: usize = 2 << 20;

/// An encoded state that is longer is, too: as a text, latency histograms are eleven times as long.
pub const MAX_WHOLE_STATE_BYTES: usize = 192 << 10;

/// About how long a piece is at least, but for the last one.
const PIECE_BYTES: usize = 256 << 10;

/// The most bytes of encoded states that all answers of an isolate keep together; one alone may have more.
pub const MAX_HELD_BYTES: usize = 40_000_000;

/// The end of a text: the age of the copy, and the end itself.
fn end(view: &View, format: Format, age_ms: Option<u64>) -> Vec<u8> {
    let mut end = format.end().as_bytes().to_vec();
    if let Some(age_ms) = age_ms.filter(|_| view.selection.has(&AGE)) {
        // Cannot fail: it has its end.
        let _is_added = metrics::add_age(&mut end, format, age_ms);
    }
    end
}

/// Holds back the end of an OpenMetrics text that is passed on, to put the age before it.
#[derive(Clone, Debug)]
pub struct Tail {
    held: Vec<u8>,
    end: Vec<u8>,
}

impl Tail {
    /// Of a copy of this age, in milliseconds.
    pub fn new(view: &View, age_ms: Option<u64>) -> Self {
        Self { held: Vec::new(), end: end(view, Format::OpenMetrics, age_ms) }
    }

    /// What can go out of what came so far.
    pub fn pass(&mut self, mut came: Vec<u8>) -> Vec<u8> {
        let held = Format::OpenMetrics.end().len();
        let mut out = std::mem::take(&mut self.held);
        out.append(&mut came);
        self.held = out.split_off(out.len().saturating_sub(held));
        out
    }

    /// What goes out last; `None` where the text was cut off.
    pub fn finish(self) -> Option<Vec<u8>> {
        (self.held == Format::OpenMetrics.end().as_bytes()).then_some(self.end)
    }
}

/// The text of an encoded state.
#[derive(Debug)]
pub struct Pieces {
    bytes: Rc<Vec<u8>>,
    families: Families,
    view: View,
    format: Format,
    end: Option<Vec<u8>>,
}

impl Pieces {
    /// Of a copy of this age, in milliseconds.
    ///
    /// # Errors
    /// [`DecodeError`] where it can be seen at once that this is no state.
    pub fn new(bytes: Rc<Vec<u8>>, view: View, format: Format, age_ms: Option<u64>) -> Result<Self, DecodeError> {
        let end = Some(end(&view, format, age_ms));
        Ok(Self { families: Families::of(&bytes)?, bytes, view, format, end })
    }

    fn read(&mut self) -> Result<Vec<u8>, DecodeError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            match self.families.next(&self.bytes)? {
                Some(family) => self.view.write_family(&family, self.format, &mut piece),
                None => {
                    piece.append(&mut self.end.take().unwrap_or_default());
                    break;
                }
            }
        }
        Ok(piece)
    }
}

impl Iterator for Pieces {
    type Item = Result<Vec<u8>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.end.as_ref()?;
        let piece = self.read();
        if piece.is_err() {
            self.end = None;
        }
        Some(piece)
    }
}

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Bytes of an encoded state that is kept for an answer.
#[derive(Debug)]
pub struct Held(usize);

impl Held {
    /// Room for a state that is about to be read: as much as the last one took.
    pub fn expect() -> Option<Self> {
        Self::take(LAST.get())
    }

    /// `None` where so many others are kept that these have no room.
    pub fn take(bytes: usize) -> Option<Self> {
        let held = HELD.get();
        let all = held.saturating_add(bytes);
        LAST.set(bytes);
        (held == 0 || all <= MAX_HELD_BYTES).then(|| {
            HELD.set(all);
            Self(bytes)
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, Snapshot};

    use super::*;
    use crate::{
        config::Config,
        scrape::{
            copy::Copy,
            negotiate::{Coding, MediaType},
            respond::{Ask, Wanted, answer},
        },
    };

    fn view() -> View {
        View::of_config(&Config::read(&BTreeMap::new()).0)
    }

    fn state() -> Snapshot {
        let mut delta = Delta::new();
        for index in 0..20_000 {
            let name = format!("family_{}", index % 50);
            let family = FamilyDescriptor::new(name, "Help.", "", MetricKind::Counter).unwrap();
            let labels = LabelSet::from_pairs([("n", format!("{index:0>50}"))]).unwrap();
            delta.add_counter(&family, labels, index).unwrap();
        }
        let mut state = Snapshot::new(1);
        state.set_capacity(tributary_telemetry::Capacity::in_parts(false));
        assert_eq!(state.apply(&delta, 5).unwrap().series_added, 20_000);
        state
    }

    #[test]
    fn pieces_are_together_what_one_answer_would_be() {
        let (state, view) = (state(), view());
        let bytes = Rc::new(state.encode());
        for format in [Format::OpenMetrics, Format::Prometheus, Format::Protobuf] {
            let pieces = Pieces::new(bytes.clone(), view.clone(), format, Some(7)).unwrap();
            let pieces: Vec<Vec<u8>> = pieces.collect::<Result<_, _>>().unwrap();
            assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.len() < 2 * PIECE_BYTES));
            let wanted = Wanted {
                media_type: MediaType { format, escaping: None },
                coding: Coding::Identity,
                view: view.clone(),
            };
            let copy = Copy::of_ledger(bytes.as_ref().clone(), 1_000);
            assert_eq!(pieces.concat(), answer(&copy, &wanted, Ask::default(), 1_007).unwrap().body);
        }
    }

    #[test]
    fn a_text_is_passed_on_with_its_age_however_it_comes() {
        let view = view();
        let mut text = Vec::new();
        view.write(&state(), Format::OpenMetrics, &mut text);
        let mut expected = text.clone();
        assert!(metrics::add_age(&mut expected, Format::OpenMetrics, 7));
        for size in [1, 5, 6, 7, 4_096, text.len()] {
            let mut tail = Tail::new(&view, Some(7));
            let mut out: Vec<u8> = text.chunks(size).flat_map(|chunk| tail.pass(chunk.to_vec())).collect();
            out.append(&mut tail.finish().unwrap());
            assert!(out == expected, "in pieces of {size}");
        }
        for cut in [0, 1, 6, 7, text.len()] {
            let mut tail = Tail::new(&view, Some(7));
            let passed = tail.pass(text[..text.len() - cut].to_vec());
            assert!(passed.len() + 6 >= text.len() - cut);
            assert_eq!(tail.finish().is_some(), cut == 0, "cut off by {cut}");
        }
    }

    #[test]
    fn a_state_that_does_not_read_back_breaks_the_text_off() {
        let mut bytes = state().encode();
        let near_the_end = bytes.len() - 20;
        bytes[near_the_end..].fill(0xff);
        let pieces = Pieces::new(Rc::new(bytes.clone()), view(), Format::OpenMetrics, None);
        if let Ok(pieces) = pieces {
            let pieces: Vec<_> = pieces.collect();
            assert!(pieces.last().unwrap().is_err() && pieces.iter().filter(|piece| piece.is_err()).count() == 1);
        }
        // The labels of a series in the middle, which nobody sees before it is its turn.
        let middle = bytes.len() / 2;
        let mut bytes = state().encode();
        bytes[middle..middle + 60].fill(0xff);
        let pieces: Vec<_> = Pieces::new(Rc::new(bytes), view(), Format::OpenMetrics, None).unwrap().collect();
        assert!(pieces.len() > 2 && pieces.last().unwrap().is_err());
        assert!(!pieces.iter().flatten().any(|piece| piece.ends_with(b"# EOF\n")));
    }

    #[test]
    fn states_that_wait_for_clients_have_a_bound_and_give_their_room_back() {
        assert!(Held::expect().is_some(), "nothing is known of it yet");
        let alone = Held::take(2 * MAX_HELD_BYTES).unwrap();
        assert!(Held::expect().is_none() && Held::take(1).is_none());
        drop(alone);
        let half = Held::take(MAX_HELD_BYTES / 2).unwrap();
        let other = Held::take(MAX_HELD_BYTES / 2).unwrap();
        assert!(Held::take(1).is_none());
        drop(half);
        assert!(Held::take(1).is_some());
        drop(other);
    }
}
