//! JSON objects with a few known fields, read in one pass; all other fields are kept.
//!
//! `#[serde(flatten)]` would do this in one line. But it buffers every value on the way, takes
//! nearly twice the time, and fails the whole object if one optional field has a new form.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};

/// Declares an object. A field is `required` (an error if absent or repeated), `name` (the same,
/// but `Debug` shows its text), `optional` (an `Option<Scalar>`), `once` (the same, but an error if
/// repeated), or `list` (a `Vec`, empty if absent). Its JSON name may have aliases. `extra` holds
/// every other field except the one that the surrounding enum has read: `except "event"`. The field
/// after `also` is neither read nor written.
macro_rules! payload {
    (
        $(#[$doc:meta])*
        pub struct $name:ident $(except $tag:literal)? {
            $($(#[$field_doc:meta])* $form:ident $field:ident: $type:ty = $key:literal $(| $alias:literal)*,)*
        }
        $(also { $(#[$also_doc:meta])* $also:ident: $also_type:ty })?
    ) => {
        $(#[$doc])*
        ///
        /// `Debug` shows ids that have a type of their own, times, numbers and the values that
        /// OpenMail defines, such as `spam`, but only the size of other text.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Every other field, and any known optional field whose form was not understood. (What
            /// was not understood in a list field is in the raw body only.)
            pub extra: serde_json::Map<String, serde_json::Value>,
            $($(#[$also_doc])* pub $also: $also_type,)?
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::read(deserializer, false)
            }
        }

        impl $name {
            /// Reads the fields. With `after_name`, the event's name was read already and must not
            /// appear again.
            pub(in $crate::event) fn read<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
                after_name: bool,
            ) -> Result<Self, D::Error> {
                struct Fields {
                    after_name: bool,
                }

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A>(self, mut map: A) -> Result<$name, A::Error>
                    where
                        A: serde::de::MapAccess<'de>,
                    {
                        let _ = self.after_name;
                        let mut extra = serde_json::Map::new();
                        $(let mut $field = None;)*
                        while let Some(key) = map.next_key::<$crate::event::payload::Text<'de>>()? {
                            match key.as_str() {
                                $($key $(| $alias)* =>
                                    $crate::event::payload::read!($form $field $type, $key, key, map, extra),)*
                                $($tag if self.after_name => {
                                    return Err(serde::de::Error::duplicate_field($tag));
                                }
                                $tag => { map.next_value::<$crate::event::value::Any>()?; })?
                                _ => {
                                    $crate::event::value::reject_raw(key.as_str())?;
                                    let value = map.next_value::<$crate::event::value::Any>()?;
                                    extra.insert(key.into_string(), value.0);
                                }
                            }
                        }
                        $(let $field = $crate::event::payload::finish!($form $field $key);)*
                        Ok($name { $($field,)* extra $(, $also: Default::default())? })
                    }
                }

                deserializer.deserialize_map(Fields { after_name })
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(shown.field(
                    stringify!($field),
                    &$crate::event::payload::show!($form self.$field),
                );)*
                shown.field("extra", &$crate::event::glimpse::Shown(&self.extra));
                $(shown.field(stringify!($also), &self.$also);)?
                shown.finish()
            }
        }

        impl $name {
            pub(in $crate::event) fn entries<M: serde::ser::SerializeMap>(
                &self,
                map: &mut M,
            ) -> Result<(), M::Error> {
                $($crate::event::payload::write!($form self.$field, $key, map);)*
                self.extra.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                self.entries(&mut map)?;
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}

macro_rules! read {
    (optional $field:ident $type:ty, $name:literal, $key:ident, $map:ident, $extra:ident) => {
        match $map.next_value()? {
            $crate::event::lenient::Lenient::Null => {}
            $crate::event::lenient::Lenient::Known(value) => $field = Some(value),
            $crate::event::lenient::Lenient::Odd(value) => {
                $extra.insert($key.into_string(), value);
            }
        }
    };
    (once $field:ident $type:ty, $name:literal, $key:ident, $map:ident, $extra:ident) => {{
        if $field.is_some() {
            return Err(serde::de::Error::duplicate_field($name));
        }
        $field = Some(match $map.next_value()? {
            $crate::event::lenient::Lenient::Null => None,
            $crate::event::lenient::Lenient::Known(value) => Some(value),
            $crate::event::lenient::Lenient::Odd(value) => {
                $extra.insert($key.into_string(), value);
                None
            }
        });
    }};
    (list $field:ident $type:ty, $name:literal, $key:ident, $map:ident, $extra:ident) => {
        $field = Some($map.next_value::<$crate::event::lenient::List<_>>()?.0)
    };
    // `required` and `name`
    ($form:ident $field:ident $type:ty, $name:literal, $key:ident, $map:ident, $extra:ident) => {{
        if $field.is_some() {
            return Err(serde::de::Error::duplicate_field($name));
        }
        $field = Some($map.next_value::<$type>()?);
    }};
}

macro_rules! finish {
    (optional $field:ident $key:literal) => {
        $field
    };
    (once $field:ident $key:literal) => {
        $field.flatten()
    };
    (list $field:ident $key:literal) => {
        $field.unwrap_or_default()
    };
    ($form:ident $field:ident $key:literal) => {
        $field.ok_or_else(|| serde::de::Error::missing_field($key))?
    };
}

macro_rules! write {
    (list $this:ident.$field:ident, $key:literal, $map:ident) => {
        if !$this.$field.is_empty() {
            $map.serialize_entry($key, &$this.$field)?
        }
    };
    (required $this:ident.$field:ident, $key:literal, $map:ident) => {
        $map.serialize_entry($key, &$this.$field)?
    };
    (name $this:ident.$field:ident, $key:literal, $map:ident) => {
        $map.serialize_entry($key, &$this.$field)?
    };
    // `optional` and `once`
    ($form:ident $this:ident.$field:ident, $key:literal, $map:ident) => {
        if let Some(value) = &$this.$field {
            $map.serialize_entry($key, value)?
        }
    };
}

macro_rules! show {
    (name $this:ident.$field:ident) => {
        $crate::event::glimpse::Cut(&$this.$field)
    };
    ($form:ident $this:ident.$field:ident) => {
        $crate::event::glimpse::Shown(&$this.$field)
    };
}

pub(super) use {finish, payload, read, show, write};

/// A JSON string, borrowed from the input if it contains no escape.
pub(super) struct Text<'de>(Cow<'de, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}
