//! Makes text fit the columns of every database.

use sha2::{Digest, Sha256};

use crate::event::beginning;

/// Maximum length of a stored id, in bytes. A longer id is stored as its hash, since an entry of a
/// PostgreSQL index can have at most 2,704 bytes.
const LONGEST: usize = 1024;
/// Maximum length of a stored error, in bytes.
const ERROR: usize = 4096;

/// Returns an id as it is stored. PostgreSQL's text type cannot hold NUL.
pub(super) fn column(text: &str) -> String {
    if text.len() > LONGEST || text.contains('\0') { hashed(text) } else { text.to_owned() }
}

/// Returns the hash that replaces a text that cannot be stored.
pub(super) fn hashed(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

/// Returns an error as it is stored.
pub(super) fn error(text: &str) -> String {
    // The replacement is longer than a NUL.
    beginning(&beginning(text, ERROR).replace('\0', "\u{fffd}"), ERROR).to_owned()
}

/// Returns an error as it is stored in a database whose encoding cannot represent all of it.
#[cfg(any(test, feature = "queue-postgres"))]
pub(super) fn ascii_error(text: &str) -> String {
    error(text).replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_every_database() {
        assert_eq!(column("evt_1"), "evt_1");
        for odd in ["a\0b".to_owned(), "x".repeat(5000)] {
            let column = column(&odd);
            assert!(column.starts_with("sha256:") && column.len() == 71, "{column}");
        }
        assert_ne!(column("a\0b"), column("a\0c"));
        assert_eq!(error("a\0b"), "a\u{fffd}b");
        for long in ["\u{20ac}", "\0"] {
            assert!(error(&long.repeat(5000)).len() <= ERROR);
            assert!(ascii_error(&long.repeat(5000)).len() <= ERROR);
        }
    }
}
