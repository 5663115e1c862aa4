//! [`Notices`]: what the page says after a form was submitted.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

/// The names and values in a form or in the query of a URL.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Returns the first value with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// The result of a form.
#[derive(Clone)]
pub(crate) struct Notice {
    pub(crate) text: String,
    /// The rejected form, so that the page shows what was entered.
    pub(crate) rejected: Option<Rejected>,
}

/// A form whose request was refused.
#[derive(Clone)]
pub(crate) struct Rejected {
    /// The name that the page has for the form.
    pub(crate) form: String,
    pub(crate) fields: Fields,
}

/// The newest notices. The page's URL refers to a notice by number, so that a link from elsewhere
/// cannot put text into the page.
#[derive(Default)]
pub(crate) struct Notices(Mutex<(u64, VecDeque<Notice>)>);

impl Notices {
    const KEPT: usize = 32;

    pub(crate) fn add(&self, notice: Notice) -> u64 {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, kept) = &mut *notices;
        kept.push_back(notice);
        if kept.len() > Self::KEPT {
            kept.pop_front();
        }
        *next += 1;
        *next - 1
    }

    pub(crate) fn get(&self, number: u64) -> Option<Notice> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, kept) = &*notices;
        let from_the_end = usize::try_from(next.checked_sub(number)?).ok()?;
        kept.get(kept.len().checked_sub(from_the_end)?).cloned()
    }
}
