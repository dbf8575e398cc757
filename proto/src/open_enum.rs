//! Enums of the JSON mapping, open as they are in protobuf's bytes.
//!
//! A newer sender may know values that this reader does not. The generated code would refuse the whole message for one
//! of them, with every count in it; `tests/codegen.rs` puts [`OpenEnum`] in its place.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IntoDeserializer as _, Unexpected, Visitor, value},
};

/// The number of a value of the enum `E`, known or not.
///
/// As JSON: the name of a known value, the number of any other. Read are both; a number that is not known stays what it
/// is, a name that is not known has no number here and becomes 0, the value that says nothing.
pub(crate) struct OpenEnum<E> {
    /// As in protobuf's bytes.
    pub(crate) number: i32,
    known: PhantomData<E>,
}

impl<E> From<i32> for OpenEnum<E> {
    fn from(number: i32) -> Self {
        Self { number, known: PhantomData }
    }
}

impl<E: Serialize + TryFrom<i32>> Serialize for OpenEnum<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(self.number) {
            Ok(known) => known.serialize(serializer),
            Err(_) => serializer.serialize_i32(self.number),
        }
    }
}

impl<'de, E: Deserialize<'de> + Into<i32>> Deserialize<'de> for OpenEnum<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrNumber(PhantomData))
    }
}

struct NameOrNumber<E>(PhantomData<E>);

impl<'de, E: Deserialize<'de> + Into<i32>> Visitor<'de> for NameOrNumber<E> {
    type Value = OpenEnum<E>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of an enum's value, or a number of 32 bits")
    }

    fn visit_str<F: Error>(self, name: &str) -> Result<Self::Value, F> {
        let known: Result<E, value::Error> = E::deserialize(name.into_deserializer());
        Ok(OpenEnum::from(known.map_or(0, Into::into)))
    }

    fn visit_i64<F: Error>(self, number: i64) -> Result<Self::Value, F> {
        let number = i32::try_from(number).map_err(|_| F::invalid_value(Unexpected::Signed(number), &self))?;
        Ok(OpenEnum::from(number))
    }

    fn visit_u64<F: Error>(self, number: u64) -> Result<Self::Value, F> {
        let number = i32::try_from(number).map_err(|_| F::invalid_value(Unexpected::Unsigned(number), &self))?;
        Ok(OpenEnum::from(number))
    }
}
