//! Conditional requests (RFC 9110 section 13): who has the current state gets 304 and no body.

use super::{
    copy::{Copy, Source},
    header::{bounded, split_outside_quotes},
    negotiate::{Coding, Format, MediaType},
    options::View,
};

/// The `ETag` of an answer.
///
/// Weak: two answers with the same one say the same of the same publication, and differ in the age gauge. The Ledger's
/// own state has none, because it is current at every request; neither has a copy of which nothing is known.
pub fn etag(copy: &Copy, view: &View, media_type: MediaType, coding: Coding) -> Option<String> {
    let publication = copy.publication.as_ref().filter(|_| copy.source != Source::Ledger)?;
    let format = match media_type.format {
        Format::OpenMetrics => "om",
        Format::Prometheus => "text",
        Format::Protobuf => "pb",
    };
    let escaping = media_type.escaping.map_or("none", |escaping| escaping.as_str());
    let coding = match coding {
        Coding::Identity => "plain",
        Coding::Gzip => "gzip",
    };
    let (start, version, published) = (publication.start_time_ms, publication.version, publication.published_ms);
    Some(format!("W/\"{start:x}-{version:x}-{published:x}-{format}-{}-{escaping}-{coding}\"", view.tag()))
}

/// Says whether the client has it already: `If-None-Match` names the tag, weakly compared, or says `*`.
pub fn is_not_modified(if_none_match: Option<&str>, etag: Option<&str>) -> bool {
    let Some(header) = bounded(if_none_match).map(str::trim) else { return false };
    if header == "*" {
        return true;
    }
    let opaque = |tag: &str| -> Option<String> {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
    };
    let Some(own) = etag.and_then(opaque) else { return false };
    split_outside_quotes(header, ',').filter_map(opaque).any(|tag| tag == own)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, rc::Rc};

    use super::*;
    use crate::scrape::{copy::Publication, negotiate::Escaping, options::Selection};

    #[test]
    fn tags_are_compared_weakly_and_lists_are_read() {
        let own = Some("W/\"a-1\"");
        for header in ["\"a-1\"", "W/\"a-1\"", " W/\"a-1\" ", "\"b\", W/\"a-1\"", "\"x,y\",\"a-1\"", "*", " * "] {
            assert!(is_not_modified(Some(header), own), "{header}");
        }
        for header in ["\"a-2\"", "a-1", "", ",", "w/\"a-1\"", "\"a-1", "\"x, W/\"a-1\"", "W/\"\"", "\"*\"", "**"] {
            assert!(!is_not_modified(Some(header), own), "{header}");
        }
        assert!(!is_not_modified(None, own));
        assert!(!is_not_modified(Some("\"a-1\""), None) && is_not_modified(Some("*"), None));
        let long = format!("{}\"a-1\"", "\"b\",".repeat(10_000));
        assert!(!is_not_modified(Some(&long), own), "a header without bound is not read");
    }

    #[test]
    fn everything_that_changes_the_answer_changes_its_tag() {
        let view = View { buckets_per_decade: 18, created: false, selection: Selection::default() };
        let media_type = MediaType { format: Format::OpenMetrics, escaping: None };
        let publication = Publication { published_ms: 5, start_time_ms: 1, version: 7, view: view.tag() };
        let copy = |publication: &Publication| Copy {
            source: Source::Text,
            publication: Some(publication.clone()),
            bytes: Rc::default(),
        };
        let own = copy(&publication);
        let tag = |copy: &Copy, view: &View, media_type, coding| etag(copy, view, media_type, coding).unwrap();
        let same = tag(&own, &view, media_type, Coding::Identity);
        let tags = [
            same.clone(),
            tag(&copy(&Publication { published_ms: 6, ..publication.clone() }), &view, media_type, Coding::Identity),
            tag(&copy(&Publication { version: 8, ..publication.clone() }), &view, media_type, Coding::Identity),
            tag(&copy(&Publication { start_time_ms: 2, ..publication.clone() }), &view, media_type, Coding::Identity),
            tag(&own, &View { created: true, ..view.clone() }, media_type, Coding::Identity),
            tag(&own, &view, MediaType { escaping: Some(Escaping::Dots), ..media_type }, Coding::Identity),
            tag(&own, &view, MediaType { format: Format::Prometheus, ..media_type }, Coding::Identity),
            tag(&own, &view, MediaType { format: Format::Protobuf, ..media_type }, Coding::Identity),
            tag(&own, &view, media_type, Coding::Gzip),
        ];
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
        assert_eq!(tag(&Copy { source: Source::Snapshot, ..own.clone() }, &view, media_type, Coding::Identity), same);
        assert!(tags.iter().all(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic())));
        assert_eq!(etag(&Copy { publication: None, ..own }, &view, media_type, Coding::Gzip), None);
        assert_eq!(etag(&Copy::of_ledger(Vec::new(), 5), &view, media_type, Coding::Gzip), None);
    }
}
