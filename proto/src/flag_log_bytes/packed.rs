//! Assignments as they travel: what repeats is written once.
//!
//! The events of one isolate differ in who was assigned, when, and to which of a few variants. All else of an applied
//! flag (its name, rule, segment, variant …) is a *template*, written once in a message; an event is its resolve id, its
//! targeting key, its time, and the numbers of its templates. Format: `PackedAssignments` in `envelope.proto`.
//!
//! **Packing** takes bytes apart and never decodes: a record that is not written as the generated code writes it ends
//! what is packed, so that unpacking gives the very bytes that were packed. **Unpacking** checks each template once,
//! however many events refer to it.

use crate::wire::put_varint;

mod pack;
mod unpack;

pub(crate) use self::pack::{Packed, pack};
pub(super) use self::unpack::Unpacked;

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
