//! `Debug` for the contents of a mail: ids, times, numbers, words and sizes, never addresses,
//! subjects or text.

use std::fmt::{self, Debug, Formatter};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::misfit::Misfit;

/// Maximum length of an id or a word in `Debug`, in characters.
const LONGEST: usize = 100;

/// What `Debug` may show of a field.
pub(super) trait Glimpse {
    fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result;
}

/// Wraps a field so that `Debug` shows only its glimpse.
pub(super) struct Shown<'a, T>(pub(super) &'a T);

impl<T: Glimpse> Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.glimpse(f)
    }
}

/// A word or an id from OpenMail, cut if it is unreasonably long.
pub(super) struct Cut<'a>(pub(super) &'a str);

impl Debug for Cut<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST) {
            None => Debug::fmt(self.0, f),
            Some((end, _)) => write!(f, "{:?}… ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}

impl<T: Glimpse> Glimpse for Option<T> {
    fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.glimpse(f),
            None => f.write_str("None"),
        }
    }
}

impl Glimpse for String {
    fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl<T> Glimpse for Vec<T> {
    fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.len())
    }
}

impl Glimpse for Map<String, Value> {
    fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} fields", self.len())
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Glimpse for $type {
            fn glimpse(&self, f: &mut Formatter<'_>) -> fmt::Result {
                Debug::fmt(self, f)
            }
        }
    )*};
}
plain!(bool, u32, u64, f64, Timestamp, Misfit);
