//! The copies of the state that a scrape can be answered from, and the newest that this isolate knows.

use std::{fmt, rc::Rc};

use super::{negotiate::Format, options::View, pieces::MAX_WHOLE_BYTES};
use crate::config::{Config, MetricsSource, OPENMETRICS_KEY, SNAPSHOT_KEY};

/// The most bytes of a copy that an isolate remembers. A larger one is read anew each time and may be older than the one
/// before it.
pub const MAX_REMEMBERED_BYTES: usize = MAX_WHOLE_BYTES;

/// Where the answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The published OpenMetrics text, served as it is.
    Text,
    /// The published state, to be rendered.
    Snapshot,
    /// The Ledger's state, to be rendered.
    Ledger,
}

impl Source {
    /// The key of a published copy.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Text => Some(OPENMETRICS_KEY),
            Self::Snapshot => Some(SNAPSHOT_KEY),
            Self::Ledger => None,
        }
    }

    /// The source that a request reads. It answers from one copy, so that it never mixes two states.
    pub fn of(config: &Config, format: Format, view: &View) -> Self {
        match config.metrics_source {
            MetricsSource::Ledger => Self::Ledger,
            MetricsSource::Kv if format == Format::OpenMetrics && *view == View::of_config(config) => Self::Text,
            MetricsSource::Kv => Self::Snapshot,
        }
    }
}

/// What was published: which state, when, and how its text shows it. Kept beside each copy, as metadata of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// When the copy was made, in milliseconds since the epoch.
    pub published_ms: u64,
    /// When the state began to count, in milliseconds since the epoch.
    pub start_time_ms: u64,
    /// How many deltas the state has.
    pub version: u64,
    /// [`View::tag`] of the text.
    pub view: String,
}

impl Publication {
    /// Orders by age. Copies are made by one Ledger, one after the other; the version tells those of one millisecond
    /// apart.
    fn age_rank(&self) -> (u64, u64) {
        (self.published_ms, self.version)
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut number = || words.next()?.parse().ok();
        let (published_ms, start_time_ms, version) = (number()?, number()?, number()?);
        let view = words.next()?.to_owned();
        words.next().is_none().then_some(Self { published_ms, start_time_ms, version, view })
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.published_ms, self.start_time_ms, self.version, self.view)
    }
}

/// A copy that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where from.
    pub source: Source,
    /// What it is a copy of; `None` where that is not known: written by an older version, or by hand.
    pub publication: Option<Publication>,
    /// The text, or the encoded state.
    pub bytes: Rc<Vec<u8>>,
}

impl Copy {
    /// The Ledger's state, which is as old as the answer.
    pub fn of_ledger(bytes: Vec<u8>, now_ms: u64) -> Self {
        // Version and start are in the bytes. Nothing asks for them here: such a copy has no validator.
        let publication = Publication { published_ms: now_ms, start_time_ms: 0, version: 0, view: String::new() };
        Self { source: Source::Ledger, publication: Some(publication), bytes: Rc::new(bytes) }
    }

    /// How old it is at `now_ms`, both in milliseconds; `None` where that is not known.
    pub fn age_ms(&self, now_ms: u64) -> Option<u64> {
        self.publication.as_ref().map(|publication| now_ms.saturating_sub(publication.published_ms))
    }

    /// Says whether the copy shows what is wanted, after the configuration may have changed since it was published.
    pub fn shows(&self, view: &View) -> bool {
        let tag = self.publication.as_ref().map(|publication| publication.view.as_str());
        // What is not known is served as it is: so did the version that wrote it.
        self.source != Source::Text || tag.is_none_or(|tag| tag == view.tag())
    }

    fn is_older_than(&self, other: &Self) -> bool {
        match (&self.publication, &other.publication) {
            (Some(own), Some(other)) => own.age_rank() < other.age_rank(),
            _ => false,
        }
    }
}

/// The newest copies that this isolate served: one text, one state.
///
/// KV promises no order between two reads. With this, the scrapes that one isolate answers never go back; other
/// isolates may still be behind it, which the age gauge shows.
#[derive(Debug, Default)]
pub struct Memory {
    text: Option<Copy>,
    snapshot: Option<Copy>,
}

/// What [`Memory::newest`] decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Newest {
    /// The copy to serve.
    pub copy: Copy,
    /// Whether the one that was read is older than this.
    pub was_behind: bool,
}

impl Memory {
    /// Returns the copy that was read, or a newer one that was served before and shows the same; remembers it.
    pub fn newest(&mut self, read: Copy, view: &View) -> Newest {
        // A state can be rendered as anything; a text only be served as what it is.
        let remembered = [self.text.as_ref().filter(|_| read.source == Source::Text), self.snapshot.as_ref()];
        let newer = remembered.into_iter().flatten().filter(|copy| read.is_older_than(copy) && copy.shows(view));
        if let Some(newest) = newer.max_by_key(|copy| copy.publication.as_ref().map(Publication::age_rank)) {
            return Newest { copy: newest.clone(), was_behind: true };
        }
        if read.publication.is_some() && read.bytes.len() <= MAX_REMEMBERED_BYTES {
            let place = if read.source == Source::Text { &mut self.text } else { &mut self.snapshot };
            *place = Some(read.clone());
        }
        Newest { copy: read, was_behind: false }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(variables: &[(&'static str, &'static str)]) -> Config {
        Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
    }

    fn view() -> View {
        View::of_config(&config(&[]))
    }

    fn copy(source: Source, published_ms: u64) -> Copy {
        let publication =
            Publication { published_ms, start_time_ms: 1_000, version: published_ms / 10, view: view().tag() };
        let bytes = Rc::new(format!("{source:?} {published_ms}").into_bytes());
        Copy { source, publication: Some(publication), bytes }
    }

    #[test]
    fn a_request_reads_the_stored_text_where_that_is_what_it_wants() {
        let kv = config(&[("METRICS_BUCKETS_PER_DECADE", "6")]);
        let own = View::of_config(&kv);
        let finer = View { buckets_per_decade: 18, ..own.clone() };
        assert_eq!(Source::of(&kv, Format::OpenMetrics, &own), Source::Text);
        assert_eq!(Source::of(&kv, Format::OpenMetrics, &finer), Source::Snapshot);
        assert_eq!(Source::of(&kv, Format::Prometheus, &own), Source::Snapshot);
        assert_eq!(Source::of(&kv, Format::Protobuf, &own), Source::Snapshot);
        let ledger = config(&[("METRICS_SOURCE", "ledger")]);
        assert_eq!(Source::of(&ledger, Format::OpenMetrics, &View::of_config(&ledger)), Source::Ledger);
    }

    #[test]
    fn what_was_published_reads_back_and_anything_else_is_unknown() {
        let publication = copy(Source::Text, 77_000).publication.unwrap();
        assert_eq!(Publication::parse(&publication.to_string()), Some(publication));
        for bad in ["", "1 2 3", "1 2 3 v x", "1 2 -3 v", "x 2 3 v", "1  2 3 v", "99999999999999999999999 2 3 v"] {
            assert_eq!(Publication::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_that_shows_something_else_than_is_configured_now_is_not_served() {
        let coarse = View { buckets_per_decade: 6, ..view() };
        assert!(copy(Source::Text, 1).shows(&view()) && !copy(Source::Text, 1).shows(&coarse));
        assert!(copy(Source::Snapshot, 1).shows(&coarse));
        assert!(Copy { publication: None, ..copy(Source::Text, 1) }.shows(&coarse));
    }

    #[test]
    fn scrapes_of_one_isolate_never_go_back() {
        let mut memory = Memory::default();
        let mut served = 0;
        for (read, source) in [
            (1_000, Source::Text),
            (3_000, Source::Text),
            (2_000, Source::Text),
            (2_000, Source::Snapshot),
            (4_000, Source::Snapshot),
            (3_000, Source::Text),
            (3_500, Source::Snapshot),
            (5_000, Source::Text),
        ] {
            let Newest { copy, was_behind } = memory.newest(copy(source, read), &view());
            let published = copy.publication.unwrap().published_ms;
            // A state that is older than a text cannot be helped: nothing else can be rendered.
            let cannot_be_newer = source == Source::Snapshot && read == 2_000;
            assert!(published >= served || cannot_be_newer, "{read} {source:?}");
            assert_eq!(was_behind, published != read, "{read} {source:?}");
            served = served.max(published);
        }
    }

    #[test]
    fn what_the_ledger_said_before_the_first_publication_is_not_taken_back() {
        let mut memory = Memory::default();
        let first = Copy::of_ledger(b"state".to_vec(), 9_000);
        assert_eq!(memory.newest(first.clone(), &view()).copy, first);
        let newest = memory.newest(copy(Source::Text, 8_000), &view());
        assert_eq!(newest, Newest { copy: first, was_behind: true });
        assert!(!memory.newest(copy(Source::Text, 10_000), &view()).was_behind);
    }

    #[test]
    fn a_copy_of_unknown_age_or_too_large_is_served_and_not_remembered() {
        let mut memory = Memory::default();
        let unknown = Copy { publication: None, ..copy(Source::Text, 9_000) };
        assert_eq!(memory.newest(unknown.clone(), &view()), Newest { copy: unknown, was_behind: false });
        let large = Copy { bytes: Rc::new(vec![b'x'; MAX_REMEMBERED_BYTES + 1]), ..copy(Source::Text, 9_000) };
        assert!(!memory.newest(large, &view()).was_behind);
        assert!(!memory.newest(copy(Source::Text, 1_000), &view()).was_behind);
    }

    #[test]
    fn a_remembered_text_that_shows_something_else_is_not_served() {
        let mut memory = Memory::default();
        memory.newest(copy(Source::Text, 9_000), &view());
        let coarse = View { buckets_per_decade: 6, ..view() };
        assert!(!memory.newest(copy(Source::Text, 8_000), &coarse).was_behind);
    }

    #[test]
    fn a_ledger_that_starts_anew_replaces_what_is_remembered() {
        let mut memory = Memory::default();
        memory.newest(copy(Source::Text, 9_000), &view());
        let mut anew = copy(Source::Text, 10_000);
        anew.publication = anew.publication.map(|old| Publication { start_time_ms: 9_999, version: 1, ..old });
        assert_eq!(memory.newest(anew.clone(), &view()).copy, anew);
    }
}
