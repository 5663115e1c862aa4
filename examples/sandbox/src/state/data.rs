//! [`Data`]: the state in memory, and its changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::{
    faults::Faults,
    model::{Account, Answer, ApiKey, Delivery, Inbox, Mail, Pod, Row, Thread},
};

/// A change, for the state file.
pub(crate) enum Change {
    Put { kind: &'static str, id: String, json: String },
    Remove { kind: &'static str, id: String },
    PutFile { id: String, bytes: Bytes },
    RemoveFile { id: String },
}

/// The account and everything that belongs to it.
#[derive(Default)]
pub(crate) struct Data {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) inboxes: BTreeMap<String, Inbox>,
    pub(super) api_keys: BTreeMap<String, ApiKey>,
    pub(super) threads: BTreeMap<String, Thread>,
    pub(super) mails: BTreeMap<String, Mail>,
    pub(super) deliveries: BTreeMap<String, Delivery>,
    pub(super) answers: BTreeMap<String, Answer>,
    pub(super) files: BTreeMap<String, Bytes>,
    /// Not kept in the state file: the program starts without faults.
    pub(crate) faults: Faults,
    pub(super) changes: Vec<Change>,
}

impl Data {
    /// Inserts or replaces a row.
    pub(super) fn put<R: Row>(&mut self, row: R) {
        self.changes.push(Change::Put {
            kind: R::KIND,
            id: row.id().to_owned(),
            json: to_json(&row),
        });
        R::table(self).insert(row.id().to_owned(), row);
    }

    /// Changes a row, if it exists.
    pub(super) fn edit<R: Row>(&mut self, id: &str, edit: impl FnOnce(&mut R)) -> Option<R> {
        let mut row = R::table(self).get(id)?.clone();
        edit(&mut row);
        self.put(row.clone());
        Some(row)
    }

    pub(super) fn remove<R: Row>(&mut self, id: &str) -> Option<R> {
        let row = R::table(self).remove(id)?;
        self.changes.push(Change::Remove { kind: R::KIND, id: id.to_owned() });
        Some(row)
    }

    pub(super) fn put_file(&mut self, id: String, bytes: Bytes) {
        self.changes.push(Change::PutFile { id: id.clone(), bytes: bytes.clone() });
        self.files.insert(id, bytes);
    }

    pub(super) fn remove_file(&mut self, id: &str) {
        self.files.remove(id);
        self.changes.push(Change::RemoveFile { id: id.to_owned() });
    }

    pub(crate) fn file(&self, id: &str) -> Option<Bytes> {
        self.files.get(id).cloned()
    }

    pub(crate) fn account(&self) -> &Account {
        self.accounts.values().next().expect("a state has an account")
    }
}

fn to_json(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("rows have text keys only")
}
