//! Protobuf's wire format, read in place, without a copy, and written without a message between.

/// How deep messages and groups may be nested, as in prost.
pub const DEPTH: u32 = 100;

/// Why bytes are no message of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A length, a number or a group goes past the end of what holds it.
    #[error("cut off")]
    CutOff,
    /// A number of more than 64 bits, or a field number that there cannot be.
    #[error("a number out of range")]
    Number,
    /// A field comes as another type than it has.
    #[error("a field of another type")]
    Type,
    /// A string that is no UTF-8.
    #[error("a string that is no UTF-8")]
    Utf8,
    /// Groups that end before they begin, or nest too deep.
    #[error("broken groups")]
    Group,
    /// A packed assignment refers to what is not there.
    #[error("a reference to nothing")]
    Reference,
    /// Unpacked, it would be over the size of a message.
    #[error("too large when unpacked")]
    TooLarge,
}

/// A place in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

/// One field, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// A varint.
    Varint(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// Eight bytes as a number.
    Fixed64(u64),
    /// Anything else.
    Other,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Says whether nothing is left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads a number of up to ten bytes.
    ///
    /// # Errors
    /// [`Malformed::CutOff`] and [`Malformed::Number`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte, rest @ ..] = self.rest else { return Err(Malformed::CutOff) };
            self.rest = rest;
            // The tenth byte has room for one bit.
            if shift == 63 && *byte > 1 {
                return Err(Malformed::Number);
            }
            value |= u64::from(*byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }

    /// Reads a field's number and wire type.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(u32, u32), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed::Number)?;
        if key < 8 { Err(Malformed::Number) } else { Ok((key >> 3, key & 7)) }
    }

    /// Reads a length and as many bytes.
    ///
    /// # Errors
    /// [`Malformed::CutOff`] and [`Malformed::Number`].
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed::CutOff)?;
        self.take(len)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Passes over a field that no schema has. A group is passed over with all that is in it.
    #[cold]
    pub(crate) fn skip(&mut self, number: u32, wire_type: u32, depth: u32) -> Result<(), Malformed> {
        if depth == 0 {
            return Err(Malformed::Group);
        }
        match wire_type {
            0 => self.varint().map(|_| ()),
            1 => self.take(8).map(|_| ()),
            2 => self.bytes().map(|_| ()),
            3 => loop {
                let (inner, wire_type) = self.key()?;
                if wire_type == 4 {
                    return if inner == number { Ok(()) } else { Err(Malformed::Group) };
                }
                self.skip(inner, wire_type, depth.saturating_sub(1))?;
            },
            5 => self.take(4).map(|_| ()),
            4 => Err(Malformed::Group),
            _ => Err(Malformed::Type),
        }
    }

    /// Reads the next field, whatever it is; `None` at the end.
    ///
    /// # Errors
    /// [`Malformed`] where there is no field.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        // Nearly every field has a key of one byte, and of one byte its number or its length.
        if let [key @ 8..0x80, value @ 0..0x80, rest @ ..] = self.rest {
            let number = u32::from(*key >> 3);
            match key & 7 {
                0 => {
                    self.rest = rest;
                    return Ok(Some((number, Field::Varint(u64::from(*value)))));
                }
                2 => {
                    if let Some((bytes, rest)) = rest.split_at_checked(usize::from(*value)) {
                        self.rest = rest;
                        return Ok(Some((number, Field::Bytes(bytes))));
                    }
                }
                _ => {}
            }
        }
        self.any_field()
    }

    #[inline(never)]
    fn any_field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let field = match wire_type {
            0 => Field::Varint(self.varint()?),
            2 => Field::Bytes(self.bytes()?),
            1 => {
                let bytes = <[u8; 8]>::try_from(self.take(8)?).map_err(|_| Malformed::CutOff)?;
                Field::Fixed64(u64::from_le_bytes(bytes))
            }
            _ => {
                self.skip(number, wire_type, DEPTH)?;
                Field::Other
            }
        };
        Ok(Some((number, field)))
    }
}

/// Writes a number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Writes a field of bytes with a key of one byte.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    // No platform has longer ones.
    put_varint(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}
