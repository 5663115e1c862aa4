//! [`InvalidPayload`]: the error for a body that is not an event.

use std::fmt;

/// The error for a body that is not an event.
///
/// For a syntax error in the JSON, it says where parsing failed. It contains no part of the body,
/// so it is safe to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPayload {
    kind: InvalidPayloadKind,
    detail: Detail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    None,
    At { line: usize, column: usize },
    Key(&'static str),
}

/// What is wrong with a body that is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidPayloadKind {
    /// The body is not valid JSON in UTF-8.
    Malformed,
    /// The body begins with JSON other than an object. The rest of it is not checked.
    NotAnObject,
    /// The object has no string `event`.
    MissingEvent,
    /// A key that routes or identifies the event appears more than once. Parsers disagree about
    /// which one counts.
    DuplicateKey,
    /// An object has the key that `serde_json` reserves for raw values. With its feature
    /// `raw_value`, the parser would read the text in that field as JSON.
    ReservedKey,
}

impl InvalidPayload {
    pub(super) fn new(kind: InvalidPayloadKind) -> Self {
        Self { kind, detail: Detail::None }
    }

    pub(super) fn duplicate(key: &'static str) -> Self {
        Self { kind: InvalidPayloadKind::DuplicateKey, detail: Detail::Key(key) }
    }

    /// Keeps only what the parser's error says about the position, which contains no part of the
    /// body.
    pub(super) fn of_json(error: &serde_json::Error) -> Self {
        if error.is_data() {
            return Self::new(InvalidPayloadKind::NotAnObject);
        }
        let detail = Detail::At { line: error.line(), column: error.column() };
        Self { kind: InvalidPayloadKind::Malformed, detail }
    }

    /// Returns what is wrong with the body.
    pub fn kind(&self) -> InvalidPayloadKind {
        self.kind
    }
}

impl fmt::Display for InvalidPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not an event: ")?;
        f.write_str(match self.kind {
            InvalidPayloadKind::Malformed => "it is not valid JSON",
            InvalidPayloadKind::NotAnObject => "it is not a JSON object",
            InvalidPayloadKind::MissingEvent => "its `event` is missing or is not a string",
            InvalidPayloadKind::DuplicateKey => "a key appears more than once",
            InvalidPayloadKind::ReservedKey => "it has a key that serde_json reserves",
        })?;
        match self.detail {
            Detail::None => Ok(()),
            Detail::At { line, column } => write!(f, " (line {line}, column {column})"),
            Detail::Key(key) => write!(f, " (`{key}`)"),
        }
    }
}

impl std::error::Error for InvalidPayload {}
