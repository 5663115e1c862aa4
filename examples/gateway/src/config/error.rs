//! What is wrong with a configuration, and on which line.

use std::{error, fmt, ops::Range, path::Path};

/// Displayed as `gateway.toml:12: the reason`. It never contains a secret.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: String,
    reason: String,
}

impl ConfigError {
    pub(super) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { place: path.display().to_string(), reason: reason.to_string() }
    }

    pub(super) fn at(
        path: &Path,
        text: &str,
        span: Range<usize>,
        reason: impl fmt::Display,
    ) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        Self { place: format!("{}:{line}", path.display()), reason: reason.to_string() }
    }

    /// Creates an error from the parser's, without the text that the parser quotes: it may be a
    /// secret.
    pub(super) fn parser(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        // Such as: invalid type: integer `42`, expected a string
        let reason = match message.rsplit_once(", expected ") {
            Some((found, expected)) if found.starts_with("invalid ") => {
                let quote = found.find(['"', '`']).unwrap_or(found.len());
                format!("{}, expected {expected}", found[..quote].trim_end())
            }
            _ => message.to_owned(),
        };
        match error.span() {
            Some(span) => {
                let reason = match key(text, span.start) {
                    Some(key) if !reason.contains(&format!("`{key}`")) => {
                        format!("`{key}`: {reason}")
                    }
                    _ => reason,
                };
                Self::at(path, text, span, reason)
            }
            None => Self::new(path, reason),
        }
    }
}

/// Returns the key of the line at a position.
fn key(text: &str, at: usize) -> Option<&str> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, _) = text[start..].lines().next()?.split_once('=')?;
    let key = key.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!key.is_empty() && key.chars().all(is_plain)).then_some(key)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl error::Error for ConfigError {}
