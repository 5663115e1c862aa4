//! The `Idempotency-Key` of a reply.

use sha2::{Digest, Sha256};

/// Distinguishes the replies to one mail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'n> {
    /// By the name that the handler gave it.
    Named(&'n str),
    /// By its position among the replies without a name, from 0.
    Nth(usize),
}

/// Returns the key of a reply. It is the same for every delivery of a mail, and different for every
/// other mail and reply. It is a hash, since the ids may contain any character.
pub(super) fn key(inbox: &str, message: &str, which: Which<'_>) -> String {
    let mut hash = Sha256::new();
    // Each part is preceded by its length, so that different lists of parts have different hashes.
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(b"openmail-tower reply 1");
    add(inbox.as_bytes());
    add(message.as_bytes());
    match which {
        Which::Named(name) => {
            add(b"named");
            add(name.as_bytes());
        }
        Which::Nth(place) => {
            add(b"nth");
            add(&(place as u64).to_be_bytes());
        }
    }
    format!("reply-{}", hex::encode(&hash.finalize()[..20]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reply_has_a_distinct_key() {
        let texts = ["", "a", "b", "ab", "nth", "named", "\0", "a\0b"];
        let mut keys = HashSet::new();
        for inbox in texts {
            for message in texts {
                for name in texts {
                    assert!(keys.insert(key(inbox, message, Which::Named(name))));
                }
                for place in 0..3 {
                    assert!(keys.insert(key(inbox, message, Which::Nth(place))));
                }
            }
        }
    }

    #[test]
    fn keys_do_not_change_between_versions() {
        let first = key("inb_1", "msg_1", Which::Nth(0));
        assert_eq!(first, KEY);
        assert!(first.bytes().all(|byte| byte.is_ascii_graphic()) && first.len() <= 64);
    }

    const KEY: &str = "reply-8e3c6e4ac5b93353d52e8e918ae79416b7558178";
}
