//! The protobuf encoding, as far as it is needed: fields with numbers below 16, in messages that get their length last.

/// Wire types (*Protocol Buffers* documentation › Encoding › Message Structure).
pub(super) const VARINT: u8 = 0;
pub(super) const DOUBLE: u8 = 1;
pub(super) const LENGTH: u8 = 2;

/// What begins a field: its number, which must be below 16, and its wire type.
pub(super) const fn key(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// Begins a message that is a field; returns where its content begins.
pub(super) fn begin(out: &mut Vec<u8>, key: u8) -> usize {
    out.push(key);
    begin_delimited(out)
}

/// Begins a message that stands by itself; returns where its content begins.
pub(super) fn begin_delimited(out: &mut Vec<u8>) -> usize {
    // Room for the length: one byte of it, which is enough for most.
    out.push(0);
    out.len()
}

/// Ends a message that began at `start`: writes its length in front of it.
pub(super) fn end(out: &mut Vec<u8>, start: usize) {
    let end = out.len();
    let mut length = end.saturating_sub(start);
    let mut digits = [0_u8; 10];
    let mut used = 0;
    for digit in &mut digits {
        used += 1;
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        *digit = low & 0x7f | if length > 0 { 0x80 } else { 0 };
        if length == 0 {
            break;
        }
    }
    let further = used - 1;
    if further > 0 {
        out.resize(end.saturating_add(further), 0);
        out.copy_within(start..end, start.saturating_add(further));
    }
    let places = out.iter_mut().skip(start.saturating_sub(1));
    places.zip(digits).take(used).for_each(|(place, digit)| *place = digit);
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

/// A field of an unsigned type, or an enum.
pub(super) fn unsigned(out: &mut Vec<u8>, key: u8, value: u64) {
    out.push(key);
    varint(out, value);
}

/// A field of type `sint32` or `sint64`: small numbers of either sign are short.
pub(super) fn signed(out: &mut Vec<u8>, key: u8, value: i64) {
    unsigned(out, key, (value << 1 ^ value >> 63).cast_unsigned());
}

/// A field of type `double`.
pub(super) fn double(out: &mut Vec<u8>, key: u8, value: f64) {
    out.push(key);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of type `string`, in parts.
pub(super) fn string(out: &mut Vec<u8>, key: u8, parts: &[&str]) {
    let start = begin(out, key);
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    end(out, start);
}
