//! Values of unknown fields.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The key under which `serde_json` passes a number if any crate in the build turns on
/// `arbitrary_precision`.
pub(super) const NUMBER: &str = "$serde_json::private::Number";
/// If any crate in the build turns on `raw_value`, `serde_json` parses the text in a field of this
/// name again, as JSON, which escapes both the limit on nesting and the estimate of the event's
/// size.
const RAW: &str = "$serde_json::private::RawValue";

/// Any JSON value except one that would be parsed twice. Such a value is rejected here, so that no
/// later reader of the same body meets it (except in the unread rest of an event that is nested too
/// deeply).
pub(super) struct Any(pub(super) Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor).map(Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Any(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            reject_raw(&key)?;
            let Any(value) = map.next_value()?;
            fields.insert(key, value);
        }
        let number = fields.get(NUMBER).filter(|_| fields.len() == 1).and_then(Value::as_str);
        Ok(number.and_then(|text| text.parse().ok()).map_or(Value::Object(fields), Value::Number))
    }
}

/// Rejects the key that `serde_json` reserves for raw values.
pub(super) fn reject_raw<E: Error>(key: &str) -> Result<(), E> {
    if key == RAW { Err(E::custom("a field may not have this name")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_equals_what_serde_json_reads() {
        for json in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "2.5",
            r#""a\n""#,
            r#"[1,[],{"a":{"b":[null]}}]"#,
        ] {
            let Any(value) = serde_json::from_str(json).unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(json).unwrap(), "{json}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(serde_json::from_str::<Any>(&deep).is_err());
    }

    #[test]
    fn rejects_reserved_keys_at_any_depth() {
        let raw = r#"{"a":1,"$serde_json::private::RawValue":"[[1]]"}"#;
        let escaped = raw.replace('$', r"\u0024");
        for value in [raw, &escaped] {
            for json in [value.to_owned(), format!("[{value}]"), format!(r#"{{"x":{value}}}"#)] {
                assert!(serde_json::from_str::<Any>(&json).is_err(), "{json}");
            }
        }
    }

    #[test]
    fn reads_a_number_passed_as_a_map() {
        let read = |json: &str| serde_json::from_str::<Any>(json).unwrap().0;
        assert_eq!(read(r#"{"$serde_json::private::Number":"1"}"#), 1);
        for other in [r#""x""#, "1", r#""1","a":2"#] {
            let json = format!(r#"{{"$serde_json::private::Number":{other}}}"#);
            assert!(read(&json).is_object(), "{json}");
        }
    }
}
