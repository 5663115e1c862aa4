//! Enums over words; OpenMail may add more.

/// Declares an enum over known words, with `Other` for the rest, so that it never fails to parse.
/// With `in any case`, it ignores the case of ASCII letters.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident $(in $any:ident case)? {
            $($(#[$vdoc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A word that this crate does not know, unchanged.
            Other(Box<str>),
        }

        impl $name {
            const IN_ANY_CASE: bool = false $(|| !stringify!($any).is_empty())?;

            /// Returns the word as OpenMail writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other if Self::IN_ANY_CASE
                        && [$($text),*].iter().any(|word| word.eq_ignore_ascii_case(other)) =>
                    {
                        other.to_ascii_lowercase().as_str().into()
                    }
                    other => Self::Other(other.into()),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str(stringify!($variant)),)*
                    Self::Other(text) => {
                        f.debug_tuple("Other").field(&$crate::event::glimpse::Cut(text)).finish()
                    }
                }
            }
        }

        impl $crate::event::glimpse::Glimpse for $name {
            fn glimpse(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self, f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::event::lenient::Scalar for $name {
            fn from_text(text: &str) -> Option<Self> {
                Some(text.into())
            }
        }
    };
}

pub(super) use words;
