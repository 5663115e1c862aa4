//! The state: typed operations on the data in memory. Each change, except to the faults, is also
//! written to the state file, if there is one.

mod accounts;
mod data;
mod deliveries;
mod faults;
mod journal;
mod mailing;
mod model;
mod refusal;
mod sending;
mod threads;
mod views;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

pub(crate) use accounts::Holder;
pub(crate) use data::Data;
pub(crate) use deliveries::{Target, waits_left};
pub(crate) use faults::{Fault, Faults, RequestFault, Scope, unusable_offset};
pub(crate) use journal::{Journal, JournalError};
pub(crate) use mailing::{File, Incoming};
pub(crate) use model::{
    Account, ApiKey, Attachment, Attempt, Delivery, Direction, Inbox, Mail, Pod, Progress, Thread,
    new_id,
};
pub(crate) use refusal::Refusal;
pub(crate) use sending::Draft;

/// The state. Clones share it.
#[derive(Clone)]
pub(crate) struct State(Arc<Shared>);

struct Shared {
    data: Mutex<Data>,
    version: watch::Sender<u64>,
    journal: Option<Journal>,
}

impl State {
    /// Creates a state that is lost when the program ends.
    pub(crate) fn in_memory() -> Self {
        Self::new(Data::default(), None)
    }

    /// Opens a state that is kept in an SQLite file.
    pub(crate) async fn in_file(path: &Path) -> Result<Self, JournalError> {
        let (journal, data) = Journal::open(path).await?;
        Ok(Self::new(data, Some(journal)))
    }

    fn new(data: Data, journal: Option<Journal>) -> Self {
        let version = watch::Sender::new(0);
        Self(Arc::new(Shared { data: Mutex::new(data), version, journal }))
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Data) -> R) -> R {
        read(&self.lock())
    }

    /// Changes the state. When this returns, the change is queued for the state file;
    /// [`saved`](Self::saved) waits until it is written.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Data) -> R) -> R {
        let result = {
            let mut data = self.lock();
            let result = change(&mut data);
            let changes = std::mem::take(&mut data.changes);
            // While the lock is held, so that the file receives the changes in their order.
            if let Some(journal) = &self.0.journal {
                journal.write(changes);
            }
            result
        };
        self.0.version.send_modify(|version| *version += 1);
        result
    }

    /// Returns once every change so far is in the state file.
    pub(crate) async fn saved(&self) -> Result<(), JournalError> {
        match &self.0.journal {
            Some(journal) => journal.flush().await,
            None => Ok(()),
        }
    }

    /// Writes the remaining changes and closes the state file.
    pub(crate) async fn close(&self) -> Result<(), JournalError> {
        match &self.0.journal {
            Some(journal) => journal.close().await,
            None => Ok(()),
        }
    }

    /// Returns a receiver of a number that grows with each change.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        // Even after a panic between two changes, each row is complete.
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
