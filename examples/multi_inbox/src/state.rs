//! The state that the handlers share. Each takes the part that it needs.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use openmail_tower::{InboxId, handler::FromRef};

/// The whole state. Cheap to clone, since its parts are.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppState {
    /// The mails of each desk.
    pub(crate) desks: Desks,
    /// The suspended inboxes.
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

/// The number of a desk's mails, by who answers them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mails {
    /// Answered automatically by the agent.
    pub(crate) agent: u64,
    /// Left for a person.
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

    /// Returns the mails of each desk so far.
    pub(crate) fn mails(&self) -> BTreeMap<&'static str, Mails> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The suspended inboxes, from which nothing can be sent.
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

    /// Returns whether an inbox is suspended.
    pub(crate) fn contains(&self, inbox: &InboxId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(inbox)
    }
}
