//! What the handlers share. Each takes the part that it needs.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use openmail_tower::{InboxId, handler::FromRef};

/// The whole state: cheap to clone, as its parts are.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppState {
    /// What each desk has got.
    pub(crate) desks: Desks,
    /// Which inboxes are suspended.
    pub(crate) suspended: Suspended,
}

impl FromRef<AppState> for Desks {
    fn from_ref(state: &AppState) -> Self {
        state.desks.clone()
    }
}

impl FromRef<AppState> for Suspended {
    fn from_ref(state: &AppState) -> Self {
        state.suspended.clone()
    }
}

/// How many mails a desk has got, by whom they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mails {
    /// For the agent, which answers by itself.
    pub(crate) agent: u64,
    /// For a person.
    pub(crate) person: u64,
}

/// The desks' mails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desks(Arc<Mutex<BTreeMap<&'static str, Mails>>>);

impl Desks {
    pub(crate) fn add(&self, desk: &'static str, for_agent: bool) {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mails = desks.entry(desk).or_default();
        if for_agent {
            mails.agent += 1
        } else {
            mails.person += 1
        }
        tracing::info!(desk, for_agent, "mail");
    }

    /// What each desk has got so far.
    pub(crate) fn mails(&self) -> BTreeMap<&'static str, Mails> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The suspended inboxes: nothing can be sent from them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspended(Arc<Mutex<HashSet<InboxId>>>);

impl Suspended {
    pub(crate) fn set(&self, inbox: InboxId, suspended: bool) {
        let mut inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if suspended {
            inboxes.insert(inbox)
        } else {
            inboxes.remove(&inbox)
        };
    }

    /// Whether this one is.
    pub(crate) fn contains(&self, inbox: &InboxId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(inbox)
    }
}
