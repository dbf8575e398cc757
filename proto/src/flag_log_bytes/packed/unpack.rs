//! Reads it, checks each template once, and gives the bytes that were packed.

use super::{APPLY_TIME, FALLTHROUGH_KEY, FALLTHROUGHS, FLAG, RECORD, RESOLVE_ID, TARGETING_KEY, bytes_len, put_len};
use crate::{
    envelope::MAX_MESSAGE_BYTES,
    flag_log_bytes::{
        check::{check, check_text},
        schema::{APPLIED_FLAG, FALLTHROUGH, FLAG_ASSIGNED, TIMESTAMP},
    },
    wire::{Cursor, DEPTH, Field, Malformed, put_bytes},
};

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
pub(in crate::flag_log_bytes) struct Unpacked<'a> {
    /// Where in the flag logs they belong.
    pub(in crate::flag_log_bytes) position: usize,
    clients: Vec<&'a [u8]>,
    templates: Vec<Template<'a>>,
    fallthroughs: Vec<(&'a [u8], &'a [u8])>,
    /// The bytes from the first event on.
    events: Cursor<'a>,
}

impl<'a> Unpacked<'a> {
    pub(in crate::flag_log_bytes) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
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
    pub(in crate::flag_log_bytes) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
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
