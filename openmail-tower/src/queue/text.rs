//! Makes ids fit the columns of every database.

use sha2::{Digest, Sha256};

/// Maximum length of a stored id, in bytes. A longer id is stored as its hash, since an entry of a
/// PostgreSQL index can have at most 2,704 bytes.
const LONGEST: usize = 1024;

/// Returns an id as it is stored. PostgreSQL's text type cannot hold NUL.
pub(super) fn column(text: &str) -> String {
    if text.len() > LONGEST || text.contains('\0') { hashed(text) } else { text.to_owned() }
}

/// Returns the hash that replaces a text that cannot be stored.
pub(super) fn hashed(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
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
    }
}
