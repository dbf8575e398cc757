//! Which fault strikes where and when: drawn from the seed, counted as it strikes.
//!
//! Each place draws from a deck of its own that is shuffled anew when it is empty. So the n-th call at a place meets the
//! same in every run of a seed, and no fault stays away for longer than two decks: a run in which one never struck is no
//! run of this test.

use std::collections::{BTreeMap, VecDeque};

use tributary_local::random::DemoRandom;

/// Where a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A put into KV.
    Kv,
    /// A call of the Ledger.
    Ledger,
    /// The handler of a batch, when all but its verdicts is done.
    Handler,
    /// A send to the dead-letter queue.
    DeadSend,
    /// A send of the real producer.
    DeltaSend,
    /// A request to the backend.
    Backend,
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing.
    Pass,
    /// It fails, and has no effect.
    Before,
    /// It fails, and had its effect all the same.
    After,
    /// It is answered with this status, and has no effect.
    Refused(u16),
    /// It takes its time.
    Slow,
    /// It is never answered.
    Hang,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 6] = [Self::Kv, Self::Ledger, Self::Handler, Self::DeadSend, Self::DeltaSend, Self::Backend];

    /// What strikes here, and how often in a deck.
    fn cards(self) -> Vec<Fate> {
        use Fate::{After, Before, Pass, Refused, Slow};
        let (size, cards): (usize, &[Fate]) = match self {
            Self::Kv => (8, &[Before, After]),
            Self::Ledger => (24, &[Before, After]),
            Self::Handler => (12, &[Before, After]),
            Self::DeadSend | Self::DeltaSend => (6, &[Before, After]),
            Self::Backend => (30, &[Refused(503), Refused(503), Refused(429), Before, Before, After, After, Slow]),
        };
        let mut deck = cards.to_vec();
        deck.resize(size.max(cards.len()), Pass);
        deck
    }

    fn deck(self, seed: u64) -> Deck {
        let seed = seed ^ DemoRandom::seeded(1 + self as u64).next_u64();
        Deck { cards: self.cards(), left: Vec::new(), random: DemoRandom::seeded(seed) }
    }
}

struct Deck {
    cards: Vec<Fate>,
    left: Vec<Fate>,
    random: DemoRandom,
}

impl Deck {
    fn draw(&mut self) -> Fate {
        if self.left.is_empty() {
            self.left.clone_from(&self.cards);
        }
        let at = usize::try_from(self.random.below(self.left.len() as u64)).unwrap_or_default();
        if at < self.left.len() { self.left.swap_remove(at) } else { Fate::Pass }
    }
}

/// The faults of a run.
pub struct Faults {
    decks: BTreeMap<Place, Deck>,
    /// What the next requests to the backend meet, before anything is drawn for them.
    ordered: VecDeque<Fate>,
    struck: BTreeMap<(Place, Fate), u64>,
    is_healed: bool,
}

impl Faults {
    /// The faults of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            decks: Place::ALL.into_iter().map(|place| (place, place.deck(seed))).collect(),
            ordered: VecDeque::new(),
            struck: BTreeMap::new(),
            is_healed: false,
        }
    }

    /// What strikes at a place now.
    pub fn draw(&mut self, place: Place) -> Fate {
        if self.is_healed {
            return Fate::Pass;
        }
        let ordered = if place == Place::Backend { self.ordered.pop_front() } else { None };
        let fate = ordered.or_else(|| self.decks.get_mut(&place).map(Deck::draw)).unwrap_or(Fate::Pass);
        *self.struck.entry((place, fate)).or_default() += 1;
        fate
    }

    /// Orders what the next requests to the backend meet.
    pub fn order(&mut self, fates: impl IntoIterator<Item = Fate>) {
        self.ordered.extend(fates);
    }

    /// From now on nothing strikes.
    pub fn heal(&mut self) {
        self.is_healed = true;
        self.ordered.clear();
    }

    /// Whether nothing strikes any more.
    pub fn is_healed(&self) -> bool {
        self.is_healed
    }

    /// How often something of this kind struck at a place.
    pub fn struck(&self, place: Place, is_kind: impl Fn(Fate) -> bool) -> u64 {
        self.struck.iter().filter(|((at, fate), _)| *at == place && is_kind(*fate)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_place_strikes_within_one_deck_and_a_seed_repeats_them() {
        for place in Place::ALL {
            let draw = |seed| {
                let mut faults = Faults::new(seed);
                (0..place.cards().len()).map(|_| faults.draw(place)).collect::<Vec<_>>()
            };
            for seed in 0..50 {
                let mut drawn = draw(seed);
                assert_eq!(drawn, draw(seed));
                let mut cards = place.cards();
                drawn.sort_unstable();
                cards.sort_unstable();
                assert_eq!(drawn, cards);
            }
            assert!((0..50).any(|seed| draw(seed) != draw(seed + 1)));
        }
    }

    #[test]
    fn an_order_comes_first_and_after_healing_nothing_strikes() {
        let mut faults = Faults::new(1);
        faults.order([Fate::Hang, Fate::Hang, Fate::Hang]);
        assert_ne!(faults.draw(Place::Kv), Fate::Hang);
        assert_eq!([faults.draw(Place::Backend), faults.draw(Place::Backend)], [Fate::Hang; 2]);
        faults.heal();
        assert!((0..100).all(|_| faults.draw(Place::Backend) == Fate::Pass));
        assert_eq!(faults.struck(Place::Backend, |fate| fate == Fate::Hang), 2);
    }
}
