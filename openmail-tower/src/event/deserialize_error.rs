//! [`DeserializeError`]: why an event cannot be read into a handler's type, without quoting the
//! event.

use std::fmt;

use super::clean::beginning;

/// The longest reason, in bytes.
const LONGEST: usize = 200;

/// Why JSON cannot be read into a type: the message of `serde_json` without the values that it
/// quotes.
#[derive(Debug)]
pub(crate) struct DeserializeError {
    reason: String,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for DeserializeError {
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        let mut reason = reason(&message, error.is_data());
        reason.truncate(beginning(&reason, LONGEST).len());
        Self { reason, line: error.line(), column: error.column() }
    }
}

fn reason(message: &str, is_data: bool) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    // Field names and expectations come from the type; what was found comes from the event.
    if message.starts_with("missing field `") || message.starts_with("duplicate field `") {
        return message.to_owned();
    }
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant ", "unknown field "];
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    match expected {
        Some(expected) if quotes.iter().any(|start| message.starts_with(start)) => {
            let end = message.find(['`', '"', ',']).unwrap_or(message.len());
            format!("{}, expected {expected}", message[..end].trim_end())
        }
        _ if is_data => "the type rejected a value".to_owned(),
        _ => "not valid JSON, or nested too deeply".to_owned(),
    }
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, line, column } = self;
        write!(
            f,
            "the event does not fit the handler's type: {reason} (line {line}, column {column})"
        )
    }
}

impl std::error::Error for DeserializeError {}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::Error as _};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Type {
        #[serde(rename = "number")]
        _number: u8,
        #[serde(rename = "word")]
        _word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    enum Word {
        Yes,
        No,
    }

    fn reason_of(json: &str) -> String {
        let _ = (Word::Yes, Word::No);
        DeserializeError::from(serde_json::from_str::<Type>(json).unwrap_err()).reason
    }

    #[test]
    fn reason_names_the_fields_of_the_type_and_quotes_no_value() {
        for (json, expected) in [
            ("{}", "missing field `number`"),
            (r#"{"number":"Kaninchen, expected x"}"#, "invalid type: string, expected u8"),
            (
                r#"{"number":"Kanin\", expected `x` at line 1"}"#,
                "invalid type: string, expected u8",
            ),
            (r#"{"number":700}"#, "invalid value: integer, expected u8"),
            (r#"{"number":null}"#, "invalid type: null, expected u8"),
            (r#"{"number":[]}"#, "invalid type: sequence, expected u8"),
            (r#"{"number":1,"number":2}"#, "duplicate field `number`"),
            (r#"{"number":1,"word":"Kaninchen"}"#, "unknown variant, expected `Yes` or `No`"),
            (r#"{"Kaninchen":1}"#, "unknown field, expected `number` or `word`"),
            (r#"{"number":1 Kaninchen"#, "not valid JSON, or nested too deeply"),
        ] {
            assert_eq!(reason_of(json), expected, "{json}");
        }
        let own = DeserializeError::from(serde_json::Error::custom("Kaninchen"));
        assert_eq!(own.reason, "the type rejected a value");
    }
}
