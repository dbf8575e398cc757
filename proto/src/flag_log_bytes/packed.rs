//! Assignments as they travel: what repeats is written once.
//!
//! The events of one isolate differ in who was assigned, when, and to which of a few variants. All else of an applied
//! flag (its name, rule, segment, variant …) is a *template*, written once in a message; an event is its resolve id, its
//! targeting key, its time, and the numbers of its templates. Format: `PackedAssignments` in `envelope.proto`.
//!
//! **Packing** takes bytes apart and never decodes: a record that is not written as the generated code writes it ends
//! what is packed, so that unpacking gives the very bytes that were packed. **Unpacking** checks each template once,
//! however many events refer to it.

use std::collections::HashMap;

use super::{
    check::{check, check_text},
    schema::{APPLIED_FLAG, FALLTHROUGH, FLAG_ASSIGNED, TIMESTAMP},
};
use crate::{
    envelope::MAX_MESSAGE_BYTES,
    wire::{Cursor, DEPTH, Field, Malformed, put_bytes, put_varint},
};

/// Keys of one byte: number and wire type.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}

const RECORD: u8 = key(1);
const RESOLVE_ID: u8 = key(10);
const FLAG: u8 = key(15);
const TARGETING_KEY: u8 = key(2);
const FALLTHROUGHS: u8 = key(8);
const APPLY_TIME: u8 = key(9);
const FALLTHROUGH_KEY: u8 = key(3);

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

/// A template, read.
#[derive(Default)]
struct Template<'a> {
    head: &'a [u8],
    middle: &'a [u8],
    /// Its fallthrough assignments among all: first and end.
    fallthroughs: (usize, usize),
    has_key: bool,
    has_time: bool,
}

/// Packed assignments, read and checked; the events are read where they are written.
pub(super) struct Unpacked<'a> {
    /// Where in the flag logs they belong.
    pub(super) position: usize,
    clients: Vec<&'a [u8]>,
    templates: Vec<Template<'a>>,
    fallthroughs: Vec<(&'a [u8], &'a [u8])>,
    /// The bytes from the first event on.
    events: Cursor<'a>,
}

impl<'a> Unpacked<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut unpacked = Self {
            position: 0,
            clients: Vec::new(),
            templates: Vec::new(),
            fallthroughs: Vec::new(),
            events: Cursor::new(&[]),
        };
        loop {
            let before = cursor;
            match cursor.field()? {
                Some((1, Field::Varint(position))) => {
                    unpacked.position = usize::try_from(position).map_err(|_| Malformed::Number)?;
                }
                Some((2, Field::Bytes(client))) => {
                    check(&FLAG_ASSIGNED, client, DEPTH - 1)?;
                    unpacked.clients.push(client);
                }
                Some((3, Field::Bytes(template))) => unpacked.read_template(template)?,
                // Events stand behind all that they refer to.
                Some((4, Field::Bytes(_))) => {
                    unpacked.events = before;
                    return Ok(unpacked);
                }
                Some(_) => return Err(Malformed::Type),
                None => return Ok(unpacked),
            }
        }
    }

    fn read_template(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        let first = self.fallthroughs.len();
        let mut template = Template { fallthroughs: (first, first), ..Template::default() };
        let mut cursor = Cursor::new(bytes);
        while let Some(field) = cursor.field()? {
            match field {
                (1, Field::Bytes(head)) => template.head = head,
                (2, Field::Bytes(middle)) => template.middle = middle,
                (3, Field::Bytes(fallthrough)) => {
                    let mut cursor = Cursor::new(fallthrough);
                    let (mut before, mut after): (&[u8], &[u8]) = (&[], &[]);
                    while let Some(field) = cursor.field()? {
                        match field {
                            (1, Field::Bytes(bytes)) => before = bytes,
                            (2, Field::Bytes(bytes)) => after = bytes,
                            _ => return Err(Malformed::Type),
                        }
                    }
                    check(&FALLTHROUGH, before, DEPTH - 3)?;
                    check(&FALLTHROUGH, after, DEPTH - 3)?;
                    self.fallthroughs.push((before, after));
                    template.fallthroughs.1 = self.fallthroughs.len();
                }
                (4, Field::Varint(has)) => template.has_key = has != 0,
                (5, Field::Varint(has)) => template.has_time = has != 0,
                _ => return Err(Malformed::Type),
            }
        }
        check(&APPLIED_FLAG, template.head, DEPTH - 2)?;
        check(&APPLIED_FLAG, template.middle, DEPTH - 2)?;
        self.templates.push(template);
        Ok(())
    }

    /// Appends the events to `out`, each as a record of a `WriteFlagLogsRequest`.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut event = Parts::default();
        let mut events = self.events;
        while let Some(field) = events.field()? {
            let (4, Field::Bytes(bytes)) = field else { return Err(Malformed::Type) };
            event.read(bytes)?;
            self.write_event(&mut event, out)?;
        }
        Ok(())
    }

    fn write_event(&self, event: &mut Parts<'a>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let client = self.clients.get(event.client).ok_or(Malformed::Reference)?;
        let room = MAX_MESSAGE_BYTES.checked_sub(out.len()).ok_or(Malformed::TooLarge)?;
        let mut body = client.len().saturating_add(bytes_len(event.resolve_id.len()));
        let mut templates = Cursor::new(event.templates);
        let (mut keys, mut times) = (Cursor::new(event.key_numbers), Cursor::new(event.time_numbers));
        while !templates.is_empty() {
            let template = number(&mut templates)?;
            // Read in step with the templates, whether those have a key or not.
            let (key, time) = (number_or_first(&mut keys)?, number_or_first(&mut times)?);
            let flag = self.flag(event, template, key, time)?;
            body = body.saturating_add(bytes_len(flag.len));
            // Told before anything of the event is written: some bytes can stand for many.
            if body > room {
                return Err(Malformed::TooLarge);
            }
            event.flags.push(flag);
        }
        if bytes_len(body) > room || !keys.is_empty() || !times.is_empty() {
            return Err(if keys.is_empty() && times.is_empty() { Malformed::TooLarge } else { Malformed::Reference });
        }
        out.reserve(bytes_len(body));
        out.push(RECORD);
        put_len(out, body);
        out.extend_from_slice(client);
        put_bytes(out, RESOLVE_ID, event.resolve_id);
        for flag in &event.flags {
            self.write_flag(flag, out);
        }
        Ok(())
    }

    #[inline]
    fn flag(&self, event: &Parts<'a>, template: usize, key: usize, time: usize) -> Result<FlagParts<'a>, Malformed> {
        let Template { head, middle, fallthroughs, has_key, has_time } =
            *self.templates.get(template).ok_or(Malformed::Reference)?;
        let mut len = head.len().saturating_add(middle.len());
        let mut flag = FlagParts { head, middle, fallthroughs, targeting_key: None, apply_time: None, len: 0 };
        if has_key {
            let key = *event.keys.get(key).ok_or(Malformed::Reference)?;
            len = len.saturating_add(bytes_len(key.len()));
            flag.targeting_key = Some(key);
        }
        if has_time {
            let time = *event.times.get(time).ok_or(Malformed::Reference)?;
            len = len.saturating_add(bytes_len(time.len()));
            flag.apply_time = Some(time);
        }
        for (before, after) in self.fallthroughs_of(&flag) {
            len = len.saturating_add(bytes_len(fallthrough_len(before, flag.targeting_key, after)));
        }
        flag.len = len;
        Ok(flag)
    }

    #[inline]
    fn write_flag(&self, flag: &FlagParts<'a>, out: &mut Vec<u8>) {
        out.push(FLAG);
        put_len(out, flag.len);
        out.extend_from_slice(flag.head);
        if let Some(key) = flag.targeting_key {
            put_bytes(out, TARGETING_KEY, key);
        }
        out.extend_from_slice(flag.middle);
        for (before, after) in self.fallthroughs_of(flag) {
            out.push(FALLTHROUGHS);
            put_len(out, fallthrough_len(before, flag.targeting_key, after));
            out.extend_from_slice(before);
            if let Some(key) = flag.targeting_key {
                put_bytes(out, FALLTHROUGH_KEY, key);
            }
            out.extend_from_slice(after);
        }
        if let Some(time) = flag.apply_time {
            put_bytes(out, APPLY_TIME, time);
        }
    }

    fn fallthroughs_of(&self, flag: &FlagParts<'a>) -> impl Iterator<Item = &(&'a [u8], &'a [u8])> {
        let (first, end) = flag.fallthroughs;
        self.fallthroughs.get(first..end).unwrap_or_default().iter()
    }
}

fn fallthrough_len(before: &[u8], key: Option<&[u8]>, after: &[u8]) -> usize {
    let key = key.map_or(0, |key| bytes_len(key.len()));
    before.len().saturating_add(key).saturating_add(after.len())
}

#[inline]
fn number(numbers: &mut Cursor<'_>) -> Result<usize, Malformed> {
    usize::try_from(numbers.varint()?).map_err(|_| Malformed::Reference)
}

#[inline]
fn number_or_first(numbers: &mut Cursor<'_>) -> Result<usize, Malformed> {
    if numbers.is_empty() { Ok(0) } else { number(numbers) }
}

/// A flag of an event, before it is written.
struct FlagParts<'a> {
    head: &'a [u8],
    middle: &'a [u8],
    fallthroughs: (usize, usize),
    targeting_key: Option<&'a [u8]>,
    apply_time: Option<&'a [u8]>,
    len: usize,
}

/// The parts of one event; its vectors are used again for the next.
#[derive(Default)]
struct Parts<'a> {
    client: usize,
    resolve_id: &'a [u8],
    keys: Vec<&'a [u8]>,
    times: Vec<&'a [u8]>,
    templates: &'a [u8],
    key_numbers: &'a [u8],
    time_numbers: &'a [u8],
    flags: Vec<FlagParts<'a>>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.client = 0;
        self.resolve_id = &[];
        (self.templates, self.key_numbers, self.time_numbers) = (&[], &[], &[]);
        self.keys.clear();
        self.times.clear();
        self.flags.clear();
        let mut cursor = Cursor::new(bytes);
        while let Some(field) = cursor.field()? {
            match field {
                (1, Field::Varint(client)) => {
                    self.client = usize::try_from(client).map_err(|_| Malformed::Reference)?;
                }
                (2, Field::Bytes(id)) => {
                    check_text(id)?;
                    self.resolve_id = id;
                }
                (3, Field::Bytes(key)) => {
                    check_text(key)?;
                    self.keys.push(key);
                }
                (4, Field::Bytes(time)) => {
                    check(TIMESTAMP, time, DEPTH - 3)?;
                    self.times.push(time);
                }
                (5, Field::Bytes(numbers)) => self.templates = numbers,
                (6, Field::Bytes(numbers)) => self.key_numbers = numbers,
                (7, Field::Bytes(numbers)) => self.time_numbers = numbers,
                _ => return Err(Malformed::Type),
            }
        }
        Ok(())
    }
}

/// How many bytes a number takes.
#[inline]
const fn varint_len(value: usize) -> usize {
    if value < 0x80 {
        1
    } else if value < 0x4000 {
        2
    } else {
        let bits = usize::BITS - value.leading_zeros();
        bits.div_ceil(7) as usize
    }
}

/// Writes a length, or a place in something that has one.
#[inline]
fn put_len(out: &mut Vec<u8>, len: usize) {
    // No platform has longer ones.
    put_varint(out, u64::try_from(len).unwrap_or(u64::MAX));
}

/// How many bytes such a field takes.
#[inline]
const fn bytes_len(bytes: usize) -> usize {
    1 + varint_len(bytes) + bytes
}
