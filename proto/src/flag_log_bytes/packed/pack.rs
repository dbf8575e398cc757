//! Writes what repeats once.

use std::collections::HashMap;

use super::{
    APPLY_TIME, FALLTHROUGH_KEY, FALLTHROUGHS, FLAG, RECORD, RESOLVE_ID, TARGETING_KEY, bytes_len, key, put_len,
    varint_len,
};
use crate::wire::{Cursor, put_bytes};

/// What [`pack`] makes of flag logs.
pub(crate) struct Packed {
    /// The flag logs without what was packed.
    pub(crate) flag_logs: Vec<u8>,
    /// An encoded `PackedAssignments`.
    pub(crate) assignments: Vec<u8>,
}

/// Packs the first run of assignments in `flag_logs`; `None` where that saves nothing.
pub(crate) fn pack(flag_logs: &[u8]) -> Option<Packed> {
    let mut cursor = Cursor::new(flag_logs);
    let position = loop {
        let at = flag_logs.len().checked_sub(cursor.len())?;
        if *flag_logs.get(at)? == RECORD {
            break at;
        }
        cursor.field().ok()??;
    };
    let mut packer = Packer::default();
    let mut rest = flag_logs.get(position..)?;
    while let Some((event, after)) = Event::take(rest) {
        packer.add(&event);
        rest = after;
    }
    let assignments = packer.finish(position);
    let packed_bytes = flag_logs.len().checked_sub(position)?.checked_sub(rest.len())?;
    // A few bytes less are not worth a format that older readers refuse.
    if assignments.len().checked_add(packed_bytes / 8)? >= packed_bytes {
        return None;
    }
    let mut flag_logs = flag_logs.get(..position)?.to_vec();
    flag_logs.extend_from_slice(rest);
    Some(Packed { flag_logs, assignments })
}

/// A length-delimited field with this key and the shortest length at the beginning of `bytes`, and what is behind it.
#[inline]
fn take_field(bytes: &[u8], key: u8) -> Option<(&[u8], &[u8])> {
    let [first, rest @ ..] = bytes else { return None };
    if *first != key {
        return None;
    }
    let mut cursor = Cursor::new(rest);
    let taken = cursor.bytes().ok()?;
    let after = rest.len().checked_sub(cursor.len())?;
    let is_shortest = after == varint_len(taken.len()).checked_add(taken.len())?;
    is_shortest.then(|| (taken, rest.get(after..).unwrap_or_default()))
}

/// How many bytes the first fields take that are length-delimited, have keys of one byte, and none of `ends`.
#[inline]
fn run_until(bytes: &[u8], ends: &[u8]) -> Option<usize> {
    let mut cursor = Cursor::new(bytes);
    loop {
        let at = bytes.len().checked_sub(cursor.len())?;
        let Some(key) = bytes.get(at) else { return Some(at) };
        if ends.contains(key) {
            return Some(at);
        }
        if *key & 0x87 != 2 {
            return None;
        }
        cursor.field().ok()??;
    }
}

/// One assignment event, taken apart.
struct Event<'a> {
    client: &'a [u8],
    resolve_id: &'a [u8],
    /// The flags, one behind the other.
    flags: &'a [u8],
}

impl<'a> Event<'a> {
    /// The event at the beginning of `bytes`, and what is behind it; `None` where there is none that can be packed.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (record, after) = take_field(bytes, RECORD)?;
        let (client, rest) = record.split_at_checked(run_until(record, &[RESOLVE_ID, FLAG])?)?;
        let (resolve_id, flags) = take_field(rest, RESOLVE_ID)?;
        let mut rest = flags;
        while !rest.is_empty() {
            let (flag, behind) = take_field(rest, FLAG)?;
            Flag::take(flag)?;
            rest = behind;
        }
        Some((Self { client, resolve_id, flags }, after))
    }
}

/// One applied flag, taken apart.
struct Flag<'a> {
    head: &'a [u8],
    targeting_key: Option<&'a [u8]>,
    middle: &'a [u8],
    /// Fallthrough assignments, all of which have the same targeting key as the flag.
    fallthroughs: &'a [u8],
    apply_time: Option<&'a [u8]>,
}

impl<'a> Flag<'a> {
    fn take(flag: &'a [u8]) -> Option<Self> {
        let (head, rest) = flag.split_at_checked(run_until(flag, &[TARGETING_KEY, FALLTHROUGHS, APPLY_TIME])?)?;
        let (targeting_key, rest) = match take_field(rest, TARGETING_KEY) {
            Some((key, rest)) => (Some(key), rest),
            None => (None, rest),
        };
        let (middle, behind) = rest.split_at_checked(run_until(rest, &[FALLTHROUGHS, APPLY_TIME])?)?;
        let (fallthroughs, last) = behind.split_at_checked(run_until(behind, &[APPLY_TIME])?)?;
        let apply_time = match take_field(last, APPLY_TIME) {
            Some((time, [])) => Some(time),
            None if last.is_empty() => None,
            _ => return None,
        };
        if targeting_key.is_some_and(|key| holes(fallthroughs).all(|hole| hole.is_some_and(|hole| hole.key == key))) {
            return Some(Self { head, targeting_key, middle, fallthroughs, apply_time });
        }
        // Of another unit: as it stands.
        let middle = rest.get(..middle.len().checked_add(fallthroughs.len())?)?;
        Some(Self { head, targeting_key, middle, fallthroughs: &[], apply_time })
    }

    /// Writes its template.
    fn write_template(&self, out: &mut Vec<u8>) {
        put_bytes(out, key(1), self.head);
        put_bytes(out, key(2), self.middle);
        for Hole { before, after, .. } in holes(self.fallthroughs).flatten() {
            out.push(key(3));
            put_len(out, bytes_len(before.len()).saturating_add(bytes_len(after.len())));
            put_bytes(out, key(1), before);
            put_bytes(out, key(2), after);
        }
        // Numbers 4 and 5 as varints.
        if self.targeting_key.is_some() {
            out.extend_from_slice(&[4 << 3, 1]);
        }
        if self.apply_time.is_some() {
            out.extend_from_slice(&[5 << 3, 1]);
        }
    }
}

/// A fallthrough assignment around its targeting key.
struct Hole<'a> {
    before: &'a [u8],
    key: &'a [u8],
    after: &'a [u8],
}

/// The fallthrough assignments in `bytes`; `None` is one that cannot be taken apart, and the last.
fn holes(bytes: &[u8]) -> impl Iterator<Item = Option<Hole<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let hole = take_field(rest, FALLTHROUGHS).and_then(|(fallthrough, behind)| {
            rest = behind;
            let (before, at) = fallthrough.split_at_checked(run_until(fallthrough, &[FALLTHROUGH_KEY])?)?;
            let (key, after) = take_field(at, FALLTHROUGH_KEY)?;
            Some(Hole { before, key, after })
        });
        if hole.is_none() {
            rest = &[];
        }
        Some(hole)
    })
}

/// What is written once, by its number.
#[derive(Default)]
struct Dictionary {
    numbers: HashMap<Box<[u8]>, usize>,
}

impl Dictionary {
    /// The number of `entry`, and whether it is new.
    fn number(&mut self, entry: &[u8]) -> (usize, bool) {
        if let Some(number) = self.numbers.get(entry) {
            return (*number, false);
        }
        let number = self.numbers.len();
        self.numbers.insert(entry.into(), number);
        (number, true)
    }
}

#[derive(Default)]
struct Packer {
    clients: Dictionary,
    templates: Dictionary,
    /// Written entries of either.
    entries: Vec<u8>,
    events: Vec<u8>,
    /// Room to write a template, an event, and its numbers.
    template: Vec<u8>,
    event: Vec<u8>,
    numbers: [Vec<u8>; 3],
}

impl Packer {
    fn add(&mut self, event: &Event<'_>) {
        let (client, is_new) = self.clients.number(event.client);
        if is_new {
            put_bytes(&mut self.entries, key(2), event.client);
        }
        self.event.clear();
        if client > 0 {
            self.event.push(1 << 3);
            put_len(&mut self.event, client);
        }
        put_bytes(&mut self.event, key(2), event.resolve_id);
        let [templates, keys, times] = &mut self.numbers;
        let (mut last_key, mut last_time) = (Numbered::default(), Numbered::default());
        let mut rest = event.flags;
        while let Some((flag, behind)) = take_field(rest, FLAG) {
            rest = behind;
            let Some(flag) = Flag::take(flag) else { continue };
            self.template.clear();
            flag.write_template(&mut self.template);
            let (template, is_new) = self.templates.number(&self.template);
            if is_new {
                put_bytes(&mut self.entries, key(3), &self.template);
            }
            put_len(templates, template);
            put_len(keys, last_key.number(flag.targeting_key, key(3), &mut self.event));
            put_len(times, last_time.number(flag.apply_time, key(4), &mut self.event));
        }
        if !templates.is_empty() {
            put_bytes(&mut self.event, key(5), templates);
        }
        // The first key and the first time are what is meant where nothing is said.
        for (number, numbers) in [(6, keys), (7, times)] {
            if numbers.iter().any(|byte| *byte != 0) {
                put_bytes(&mut self.event, key(number), numbers);
            }
        }
        self.numbers.iter_mut().for_each(Vec::clear);
        put_bytes(&mut self.events, key(4), &self.event);
    }

    fn finish(mut self, position: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len().saturating_add(self.events.len()).saturating_add(8));
        if position > 0 {
            out.push(1 << 3);
            put_len(&mut out, position);
        }
        out.append(&mut self.entries);
        out.append(&mut self.events);
        out
    }
}

/// Numbers the keys, or the times, of one event. They nearly always are one; one that comes again after another is
/// written again.
#[derive(Default)]
struct Numbered<'a> {
    last: Option<(&'a [u8], usize)>,
}

impl<'a> Numbered<'a> {
    fn number(&mut self, value: Option<&'a [u8]>, key: u8, out: &mut Vec<u8>) -> usize {
        let Some(value) = value else { return 0 };
        let number = match self.last {
            Some((last, number)) if last == value => return number,
            Some((_, number)) => number.saturating_add(1),
            None => 0,
        };
        self.last = Some((value, number));
        put_bytes(out, key, value);
        number
    }
}
