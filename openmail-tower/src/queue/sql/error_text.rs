//! Makes error texts fit the columns of either database.

use crate::event::beginning;

/// Maximum length of a stored error, in bytes.
const LONGEST: usize = 4096;

/// Returns an error as it is stored. PostgreSQL's text type cannot hold NUL.
pub(in crate::queue) fn stored(text: &str) -> String {
    // The replacement is longer than a NUL.
    beginning(&beginning(text, LONGEST).replace('\0', "\u{fffd}"), LONGEST).to_owned()
}

/// Returns an error as it is stored in a database whose encoding may not represent all of it.
#[cfg(feature = "queue-postgres")]
pub(in crate::queue) fn stored_in_ascii(text: &str) -> String {
    stored(text).replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_fit_either_database() {
        assert_eq!(stored("a\0b"), "a\u{fffd}b");
        for long in ["\u{20ac}", "\0"] {
            assert!(stored(&long.repeat(5000)).len() <= LONGEST);
            #[cfg(feature = "queue-postgres")]
            assert!(stored_in_ascii(&long.repeat(5000)).len() <= LONGEST);
        }
    }
}
