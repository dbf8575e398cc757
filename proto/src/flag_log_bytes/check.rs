//! Messages told right from wrong by their schema, without being decoded.

use std::str::from_utf8;

use crate::wire::{Cursor, Malformed};

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// No field of the schema: skipped.
    Unknown,
    /// Any integer, bool or enum.
    Varint,
    /// A string.
    Text,
    /// A message.
    Nested(&'static Schema),
}

/// The fields of a message by their number; those past the end are unknown.
#[derive(Debug)]
pub(super) struct Schema(pub(super) &'static [Kind]);

/// Checks the field whose key was just read.
#[inline]
pub(super) fn check_field(
    cursor: &mut Cursor<'_>,
    schema: &Schema,
    number: u32,
    wire_type: u32,
    depth: u32,
) -> Result<(), Malformed> {
    let kind = usize::try_from(number).ok().and_then(|number| schema.0.get(number)).copied();
    match (kind.unwrap_or(Kind::Unknown), wire_type) {
        (Kind::Text, 2) => check_text(cursor.bytes()?),
        (Kind::Nested(nested), 2) => check(nested, cursor.bytes()?, depth.saturating_sub(1)),
        (Kind::Varint, 0) => cursor.varint().map(|_| ()),
        (Kind::Unknown, _) => cursor.skip(number, wire_type, depth),
        _ => Err(Malformed::Type),
    }
}

/// Checks that `bytes` are fields of a message of `schema`.
pub(super) fn check(schema: &Schema, bytes: &[u8], depth: u32) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let (number, wire_type) = cursor.key()?;
        check_field(&mut cursor, schema, number, wire_type, depth)?;
    }
    Ok(())
}

/// Checks that `bytes` are text. Nearly all text here is ASCII, which is told sooner.
#[inline]
pub(super) fn check_text(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.is_ascii() || from_utf8(bytes).is_ok() { Ok(()) } else { Err(Malformed::Utf8) }
}
