//! Recognises near-identical texts by a small sketch of their words.

use crate::event::{Message, beginning, new_text};

/// The number of hashes in a sketch: the smallest ones of a text.
const SIZE: usize = 12;
/// The minimum number of hashes that two near-identical texts share.
const ALIKE: usize = 9;
/// The maximum number of bytes of a text that are read.
const LONGEST: usize = 4 << 10;
/// The maximum number of bytes of a mail that are searched for its new text, which is above or
/// between the quotes.
const LONGEST_MAIL: usize = 16 << 10;

/// The smallest hashes of a text's words, which near-identical texts mostly share.
///
/// Digits, punctuation and the case of letters are ignored, so that a counter or a date does not
/// make an automatic answer a different text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sketch(Vec<u32>);

impl Sketch {
    /// Returns the sketch of what a mail adds to its conversation. With the quoted history, each
    /// mail of a loop would be a different text.
    pub(super) fn of_new_text(mail: &Message) -> Option<Self> {
        let text = mail.body_text.as_deref().unwrap_or_default();
        Self::of(&new_text(beginning(text, LONGEST_MAIL), mail.subject.as_deref()))
    }

    /// Returns the sketch of a text; `None` if the text has no words.
    fn of(text: &str) -> Option<Self> {
        const FNV_OFFSET: u32 = 0x811c_9dc5;
        let mut smallest: Vec<u32> = Vec::with_capacity(SIZE + 1);
        let mut hash = FNV_OFFSET;
        let mut in_word = false;
        for byte in beginning(text, LONGEST).bytes().chain([b' ']) {
            if byte.is_ascii_alphabetic() || byte >= 0x80 {
                hash = (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
                in_word = true;
            } else if in_word {
                insert(&mut smallest, scrambled(hash));
                (hash, in_word) = (FNV_OFFSET, false);
            }
        }
        (!smallest.is_empty()).then_some(Self(smallest))
    }

    /// Parses the output of [`to_hex`](Self::to_hex).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let hashes = bytes.chunks_exact(4).map(|four| four.try_into().map(u32::from_be_bytes));
        hashes.collect::<Result<_, _>>().ok().map(Self)
    }

    pub(super) fn to_hex(&self) -> String {
        let mut bytes = [0; 4 * SIZE];
        for (four, hash) in bytes.chunks_exact_mut(4).zip(&self.0) {
            four.copy_from_slice(&hash.to_be_bytes());
        }
        hex::encode(&bytes[..4 * self.0.len()])
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        if self.0.len() < SIZE || other.0.len() < SIZE {
            return self == other;
        }
        self.0.iter().filter(|hash| other.0.contains(hash)).count() >= ALIKE
    }
}

/// Mixes the bits of a hash. FNV hashes of short words differ mostly in the lower bits, but the
/// upper bits decide which hashes are the smallest.
fn scrambled(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn insert(smallest: &mut Vec<u32>, hash: u32) {
    if smallest.len() == SIZE && smallest.last().is_some_and(|largest| hash >= *largest) {
        return;
    }
    if let Err(place) = smallest.binary_search(&hash) {
        smallest.insert(place, hash);
        smallest.truncate(SIZE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "Thank you for your message. We have received your request and one of our \
        colleagues will get back to you within two working days. Your ticket number is 4711.";

    fn alike(a: &str, b: &str) -> bool {
        Sketch::of(a).unwrap().is_like(&Sketch::of(b).unwrap())
    }

    #[test]
    fn texts_that_differ_in_numbers_case_or_a_word_match() {
        assert!(alike(ANSWER, ANSWER));
        assert!(alike(ANSWER, &ANSWER.replace("4711", "4712, 25 11 2026")));
        assert!(alike(ANSWER, &ANSWER.to_uppercase()));
        assert!(alike(ANSWER, &ANSWER.replace("colleagues", "agents")));
        assert!(alike("ok 1", "OK, 2!"));
    }

    #[test]
    fn different_texts_do_not_match() {
        let other = "Hello, I ordered an engine in 1843 and it has not arrived. Could you please look \
            into this and tell me when I may expect it? The invoice is attached. Kind regards, Ada";
        assert!(!alike(ANSWER, other));
        assert!(!alike("yes", "no"));
        assert!(!alike("yes", &format!("yes {other}")));
    }

    #[test]
    fn sketch_is_small_and_survives_storage() {
        let sketch = Sketch::of(ANSWER).unwrap();
        assert_eq!(Sketch::parse(&sketch.to_hex()).unwrap(), sketch);
        let long = Sketch::of(&"many different words, ".repeat(1 << 20)).unwrap();
        assert!(long.to_hex().len() <= 8 * SIZE);
        assert_eq!(Sketch::of("123 ... !"), None);
    }
}
