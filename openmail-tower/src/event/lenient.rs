//! Optional fields of any form: understood, absent, or kept unchanged.
//!
//! An optional field in an unforeseen form must not make the mail unreadable. It is read in the
//! same single pass as the rest: the first byte of a JSON value tells its type.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value;

use super::{
    id::{EventId, InboxId, PodId, ThreadId},
    value::Any,
};

/// A type that can be made from a JSON string, number or boolean.
pub(super) trait Scalar: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }
    fn from_owned_text(text: String) -> Result<Self, String> {
        Self::from_text(&text).ok_or(text)
    }
    fn from_u64(_: u64) -> Option<Self> {
        None
    }
    fn from_f64(_: f64) -> Option<Self> {
        None
    }
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
}

impl Scalar for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn from_owned_text(text: String) -> Result<Self, String> {
        Ok(text)
    }
}

macro_rules! from_text {
    ($($id:ty),*) => {$(
        impl Scalar for $id {
            fn from_text(text: &str) -> Option<Self> {
                text.try_into().ok()
            }
        }
    )*};
}
from_text!(EventId, InboxId, ThreadId, PodId);

impl Scalar for jiff::Timestamp {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for u32 {
    fn from_u64(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Scalar for u64 {
    fn from_u64(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Scalar for f64 {
    #[expect(clippy::cast_precision_loss, reason = "a score, not a count")]
    fn from_u64(number: u64) -> Option<Self> {
        Some(number as Self)
    }
    fn from_f64(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl Scalar for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// The value of an optional field.
pub(super) enum Lenient<T> {
    Null,
    Known(T),
    /// Neither null nor a `T`.
    Odd(Value),
}

impl<T: Scalar> Lenient<T> {
    fn known(value: Option<T>, otherwise: impl Into<Value>) -> Self {
        value.map_or_else(|| Self::Odd(otherwise.into()), Self::Known)
    }

    /// Converts a value that arrived as a map. If any crate in the build turns on
    /// `arbitrary_precision` for `serde_json`, numbers other than 64-bit integers arrive this way.
    fn from_map(value: Value) -> Self {
        let Value::Number(number) = &value else { return Self::Odd(value) };
        let whole = number.as_u64().and_then(T::from_u64);
        Self::known(whole.or_else(|| number.as_f64().and_then(T::from_f64)), value)
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar> Visitor<'de> for LenientVisitor<T> {
    type Value = Lenient<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Lenient::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Lenient::known(T::from_bool(value), value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Lenient::known(T::from_u64(number), number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "only a score takes a negative number")]
        Ok(Lenient::known(T::from_f64(number as f64), number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Lenient::known(T::from_f64(number), number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Lenient::known(T::from_text(text), text))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(T::from_owned_text(text).map_or_else(|text| Lenient::Odd(text.into()), Lenient::Known))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Any::deserialize(SeqAccessDeserializer::new(seq)).map(|Any(value)| Lenient::Odd(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Any::deserialize(MapAccessDeserializer::new(map)).map(|Any(value)| Lenient::from_map(value))
    }
}

/// An element of a list.
pub(super) trait Item: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error>;
}

impl Item for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Any::deserialize(MapAccessDeserializer::new(map)).map(|_| None)
    }
}

/// A list that may arrive as null, as a single bare item, or with items of an unknown form. Such
/// items are left out; they remain in the raw body.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<'de, T: Item> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut items = Vec::new();
        deserializer.deserialize_any(Items(&mut items))?;
        Ok(Self(items))
    }
}

/// Reads a list, or one item, and appends its items.
struct Items<'a, T>(&'a mut Vec<T>);

impl<T> Items<'_, T> {
    fn append(self, item: Option<T>) {
        // Most lists have one item, and a vector would start with room for four.
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.extend(item);
    }
}

impl<'de, T: Item> DeserializeSeed<'de> for Items<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Item> Visitor<'de> for Items<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.append(T::from_text(text));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.append(T::from_map(map)?);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // An item is read like a list, so nested lists are flattened.
        while seq.next_element_seed(Items(self.0))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_passed_as_a_map() {
        fn read<T: Scalar>(value: impl Into<Value>) -> Result<T, Value> {
            match Lenient::from_map(value.into()) {
                Lenient::Known(known) => Ok(known),
                Lenient::Odd(odd) => Err(odd),
                Lenient::Null => panic!(),
            }
        }
        assert_eq!(read(0.5), Ok(0.5));
        assert_eq!(read(-7), Ok(-7.0));
        assert_eq!(read(7), Ok(7_u32));
        assert_eq!(read::<u32>(0.5), Err(0.5.into()));
        assert_eq!(read::<bool>(1), Err(1.into()));
    }
}
