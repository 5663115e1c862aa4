//! Why an event does not have the type that belongs to its name.

use std::fmt;

/// Why an event with a known name, or one nested too deeply, became an
/// [`UnknownEvent`](crate::event::UnknownEvent).
///
/// Names the field, but contains none of the event's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misfit {
    /// A required field is absent or null.
    MissingField(&'static str),
    /// A required field has another JSON type.
    WrongType(&'static str),
    /// The event is nested more than 127 levels deep. Only its name and ids are read; the rest is
    /// in the raw body.
    TooDeep,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingField(field) => write!(f, "`{field}` is missing"),
            Self::WrongType(field) => write!(f, "`{field}` has the wrong JSON type"),
            Self::TooDeep => f.write_str("the event is nested too deeply"),
        }
    }
}
