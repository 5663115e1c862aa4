//! Recognises near-identical texts by a small sketch of their words.

use crate::event::{Message, beginning, each_new_part};

/// The number of bins: a hash's highest four bits select its bin.
const BINS: usize = 16;
/// The minimum number of bins that two near-identical texts share, unless all their words are the
/// same. About thirteen different words fill this many.
const LEAST: usize = 9;
/// The maximum number of bytes of a text that are read.
const LONGEST: usize = 4 << 10;
/// The maximum number of bytes of a mail that are searched for its new text, which is above or
/// between the quotes.
const LONGEST_MAIL: usize = 16 << 10;
/// The number of bytes that are searched for the beginnings of words at a time.
const BLOCK: usize = 56;
/// The length of a block and of the eight bytes after it, in which its last word may end.
const PADDED: usize = BLOCK + 8;
/// The content of an empty bin.
const NONE: u32 = u32::MAX;

/// For each bin, the smallest of the hashes of a text's words. Near-identical texts share most of
/// these (one permutation hashing, by P. Li and others).
///
/// Digits, most ASCII punctuation and the case of ASCII letters are ignored, so that a counter or a
/// date does not make an automatic answer a different text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sketch {
    bins: [u32; BINS],
    /// The sum of all words' hashes, which tells texts of a few words apart.
    sum: u32,
}

impl Sketch {
    const EMPTY: Self = Self { bins: [NONE; BINS], sum: 0 };

    /// Returns the sketch of what a mail adds to its conversation; `None` if that has no words. If
    /// the quoted history counted too, each mail of a loop would be a different text.
    pub(super) fn of_new_text(mail: &Message) -> Option<Self> {
        let text = beginning(mail.body_text.as_deref()?, LONGEST_MAIL);
        let mut sketch = Self::EMPTY;
        let mut left = LONGEST;
        each_new_part(text, mail.subject.as_deref(), |part| {
            let part = &part.as_bytes()[..part.len().min(left)];
            left -= part.len();
            sketch.add(part);
        });
        sketch.has_words().then_some(sketch)
    }

    fn add(&mut self, text: &[u8]) {
        each_word(text, |hash| self.insert(hash));
    }

    /// Parses the output of [`to_hex`](Self::to_hex).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let (sum, hashes) = bytes.as_chunks().0.split_last()?;
        let mut sketch = Self::EMPTY;
        hashes.iter().for_each(|hash| sketch.insert(u32::from_be_bytes(*hash)));
        Some(Self { sum: u32::from_be_bytes(*sum), ..sketch })
    }

    pub(super) fn to_hex(self) -> String {
        let hashes = self.bins.into_iter().filter(|hash| *hash != NONE).chain([self.sum]);
        hex::encode(hashes.flat_map(u32::to_be_bytes).collect::<Vec<_>>())
    }

    /// Returns whether two texts have the same words, or share at least three quarters of the bins
    /// that either of them fills, and no fewer than `LEAST`.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let pairs = || self.bins.iter().zip(&other.bins);
        let empty = pairs().filter(|(own, other)| **own == NONE && **other == NONE).count();
        let shared = pairs().filter(|(own, other)| own == other).count() - empty;
        self == other || (shared >= LEAST && shared * 4 >= (BINS - empty) * 3)
    }

    fn has_words(&self) -> bool {
        *self != Self::EMPTY
    }

    fn insert(&mut self, hash: u32) {
        let smallest = &mut self.bins[(hash >> 28) as usize];
        *smallest = hash.min(*smallest);
        self.sum = self.sum.wrapping_add(hash);
    }
}

/// Calls a function with the hash of each word. A word consists of bytes from 0x40 on: letters,
/// whose case is ignored, a few signs such as `@` and `_`, and all characters that are not ASCII.
/// A word of more than eight bytes counts as several words.
///
/// Finds where all words of a block begin before it hashes any of them. So no hash waits for the
/// end of the previous word, and the processor can hash several at a time.
fn each_word(text: &[u8], mut word: impl FnMut(u32)) {
    // The beginnings of words that were found in the eight bytes after the previous block.
    let mut begun = 0;
    let mut last = 0;
    for at in (0..text.len()).step_by(BLOCK) {
        let rest = &text[at..];
        let mut padded = [0; PADDED];
        let block = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let letters = letters(block);
        let eight = letters & (letters >> 1);
        let eight = eight & (eight >> 2);
        // Where eight letters follow each other.
        let eight = eight & (eight >> 4);
        let mut starts = (letters & !(letters << 1 | last)) | begun;
        let mut next = starts;
        for _ in 0..BLOCK / 8 {
            next = ((next & eight) << 8) & letters;
            starts |= next;
        }
        begun = starts >> BLOCK;
        last = letters >> (BLOCK - 1) & 1;
        starts &= u64::MAX >> (PADDED - BLOCK);
        while starts != 0 {
            let start = starts.trailing_zeros();
            starts &= starts - 1;
            let length = (!(letters >> start) | 1 << 8).trailing_zeros();
            word(hash(block, start as usize, length as usize));
        }
    }
}

/// Returns which bytes of a block belong to words, beginning with the lowest bit.
fn letters(block: &[u8; PADDED]) -> u64 {
    let (eights, _) = block.as_chunks();
    eights.iter().rev().fold(0, |letters, eight| {
        let eight = u64::from_le_bytes(*eight);
        let tops = (eight | eight << 1) & each(0x80);
        // Gathers the highest bits of all bytes in the highest byte.
        (letters << 8) | (tops.wrapping_mul(0x0002_0408_1020_4081) >> 56)
    })
}

/// Returns the hash of a word of one to eight bytes. Ignores the bit that distinguishes capital
/// letters.
fn hash(block: &[u8; PADDED], start: usize, length: usize) -> u32 {
    // `start` is below `BLOCK`, so the minimum changes nothing. It shows the compiler that these
    // bytes are in the block. The remainder does the same for the length.
    let eight = block[start.min(BLOCK)..][..8].try_into().unwrap_or_default();
    let word = (u64::from_le_bytes(eight) | each(0x20)) & FIRST[length % FIRST.len()];
    // The upper half depends on every bit of the word, unlike the lower half.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// Masks of the first bytes, for each length of a word up to eight bytes. The other masks only make
/// the number of masks a power of two.
const FIRST: [u64; 16] = {
    let mut first = [0; 16];
    let mut length = 1;
    while length <= 8 {
        first[length] = u64::MAX >> (64 - 8 * length);
        length += 1;
    }
    first
};

/// Returns eight bytes with this value.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "Thank you for your message. We have received your request and one of our \
        colleagues will get back to you within two working days. Your ticket number is 4711.";

    fn sketch(text: &str) -> Option<Sketch> {
        let json = serde_json::json!({ "id": "m", "body_text": text });
        Sketch::of_new_text(&serde_json::from_value(json).unwrap())
    }

    fn alike(a: &str, b: &str) -> bool {
        sketch(a).unwrap().is_like(&sketch(b).unwrap())
    }

    #[test]
    fn texts_are_alike_despite_other_numbers_case_or_one_other_word() {
        assert!(alike(ANSWER, ANSWER));
        assert!(alike(ANSWER, &ANSWER.replace("4711", "4712, 25 11 2026")));
        assert!(alike(ANSWER, &ANSWER.to_uppercase()));
        assert!(alike(ANSWER, &ANSWER.replace("colleagues", "agents")));
        assert!(alike("ok 1", "OK, 2!"));
        // No spaces separate its words.
        let chinese = "您好，感谢您的来信。我们已经收到您的请求，同事会在两个工作日内与您联系。\
            如果您有其他问题，请直接回复这封邮件，我们会尽快处理。祝您工作顺利，生活愉快。";
        assert!(alike(chinese, &chinese.replace("愉快", "美满")));
    }

    #[test]
    fn different_texts_do_not_match() {
        let other = "Hello, I ordered an engine in 1843 and it has not arrived. Could you please look \
            into this and tell me when I may expect it? The invoice is attached. Kind regards, Ada";
        assert!(!alike(ANSWER, other));
        assert!(!alike("yes", "no"));
        assert!(!alike("yes", &format!("yes {other}")));
        // Some of these words share a bin with a word whose hash is smaller.
        for letter in 'a'..='z' {
            assert!(!alike(
                "I will do that for you today",
                &format!("I will do that for you today, {letter}{letter}")
            ));
        }
    }

    #[test]
    fn sketch_is_small_and_survives_storage() {
        for text in [ANSWER, "yes", "ok ok"] {
            let sketch = sketch(text).unwrap();
            assert_eq!(Sketch::parse(&sketch.to_hex()).unwrap(), sketch);
        }
        let long = sketch(&"many different words, ".repeat(1 << 20)).unwrap();
        assert_eq!(long.to_hex().len(), 8 * (3 + 1));
        assert_eq!(sketch("123 ... !"), None);
    }

    /// The hash of a word does not depend on what is around it.
    #[test]
    fn finds_the_words_of_any_length_at_any_place() {
        let is_letter = |byte: &u8| *byte >= 0x40;
        let hashes = |text: &[u8]| {
            let mut hashes = Vec::new();
            each_word(text, |hash| hashes.push(hash));
            hashes
        };
        let mut random = fastrand::Rng::with_seed(7);
        let alphabet = b"abcxyzABCXYZ\x80\xe4\xff@[`{/:09 \n\0\x7f";
        for length in 0..2_000 {
            // Leaves out the end of the alphabet, with its separators, so that words become longer.
            let letters = alphabet.len() - random.usize(..19);
            let text: Vec<_> =
                (0..length % 300).map(|_| alphabet[random.usize(..letters)]).collect();
            let words = text.split(|byte| !is_letter(byte)).flat_map(|word| word.chunks(8));
            let lower_case = |word: &[u8]| word.iter().map(|byte| byte | 0x20).collect::<Vec<_>>();
            let expected: Vec<_> = words.map(lower_case).collect();
            let distinct: std::collections::HashSet<_> = expected.iter().collect();
            let expected: Vec<_> = expected.iter().flat_map(|word| hashes(word)).collect();
            assert_eq!(hashes(&text), expected);
            let hashes: std::collections::HashSet<_> = expected.iter().collect();
            assert_eq!(hashes.len(), distinct.len(), "no two of these words share a hash");
        }
    }
}
