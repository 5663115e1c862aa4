//! Text as every database takes it.

use sha2::{Digest, Sha256};

use crate::event::beginning;

/// Beyond so many bytes an id is kept as its hash: PostgreSQL's indexes hold 2,704 bytes.
const LONGEST: usize = 1024;
/// So many bytes of an error are kept.
const ERROR: usize = 4096;

/// An id as a column. PostgreSQL's text holds no NUL.
pub(super) fn column(text: &str) -> String {
    if text.len() > LONGEST || text.contains('\0') { hashed(text) } else { text.to_owned() }
}

/// A text in place of one that a column cannot hold.
pub(super) fn hashed(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

/// An error as a column.
pub(super) fn error(text: &str) -> String {
    beginning(text, ERROR).replace('\0', "\u{fffd}")
}

/// An error as a column of a database whose encoding does not hold it.
#[cfg(any(test, feature = "queue-postgres"))]
pub(super) fn ascii_error(text: &str) -> String {
    let ascii = error(text).replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?");
    ascii.chars().take(ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_what_databases_do() {
        assert_eq!(column("evt_1"), "evt_1");
        for odd in ["a\0b".to_owned(), "x".repeat(5000)] {
            let column = column(&odd);
            assert!(column.starts_with("sha256:") && column.len() == 71, "{column}");
        }
        assert_ne!(column("a\0b"), column("a\0c"));
        assert_eq!(error("a\0b"), "a\u{fffd}b");
        assert!(error(&"\u{20ac}".repeat(5000)).len() <= ERROR);
    }
}
