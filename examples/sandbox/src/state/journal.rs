//! The state file: an SQLite database with a table for rows and one for the bytes of attachments.
//!
//! One task owns the connection. It writes the changes in order, and the changes of up to 1,024
//! calls of [`Journal::write`] in one transaction.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use sqlx::{
    Connection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    data::{Change, Data},
    model::{Account, Answer, ApiKey, Delivery, Inbox, Mail, Pod, Row, Thread},
};

/// Why the state file cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct JournalError {
    message: String,
}

impl JournalError {
    fn new(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string() }
    }
}

impl From<sqlx::Error> for JournalError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(error) => Self::new(error.message()),
            None => Self::new(error),
        }
    }
}

enum Entry {
    Changes(Vec<Change>),
    Flush(oneshot::Sender<Result<(), JournalError>>),
}

pub(crate) struct Journal {
    entries: Mutex<Option<mpsc::UnboundedSender<Entry>>>,
    writer: Mutex<Option<JoinHandle<Result<(), JournalError>>>>,
}

impl Journal {
    /// Opens or creates the file, and reads its content.
    pub(crate) async fn open(path: &Path) -> Result<(Self, Data), JournalError> {
        create_private(path).map_err(JournalError::new)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        for statement in [
            "CREATE TABLE IF NOT EXISTS rows (kind TEXT NOT NULL, id TEXT NOT NULL, \
             json TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, bytes BLOB NOT NULL)",
        ] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        let data = load(&mut connection).await?;
        let (sender, entries) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(connection, entries));
        Ok((Self { entries: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) }, data))
    }

    pub(crate) fn write(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.send(Entry::Changes(changes));
        }
    }

    pub(crate) async fn flush(&self) -> Result<(), JournalError> {
        let (done, written) = oneshot::channel();
        self.send(Entry::Flush(done));
        written.await.unwrap_or_else(|_| Err(JournalError::new("the state file is closed")))
    }

    /// Waits until everything is written, and closes the file.
    pub(crate) async fn close(&self) -> Result<(), JournalError> {
        drop(self.entries.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer {
            Some(writer) => writer.await.map_err(JournalError::new)?,
            None => Ok(()),
        }
    }

    fn send(&self, entry: Entry) {
        // Once the journal is closed, further changes are dropped.
        if let Some(entries) = &*self.entries.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = entries.send(entry);
        }
    }
}

/// Creates the file if it does not exist. On Unix, only its owner can then read it, since it
/// contains mail and secrets.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn load(connection: &mut SqliteConnection) -> Result<Data, JournalError> {
    let mut data = Data::default();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sqlx::query("SELECT kind, json FROM rows").fetch_all(&mut *connection).await? {
        rows.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    restore::<Account>(&mut data, &rows)?;
    restore::<Pod>(&mut data, &rows)?;
    restore::<Inbox>(&mut data, &rows)?;
    restore::<ApiKey>(&mut data, &rows)?;
    restore::<Thread>(&mut data, &rows)?;
    restore::<Mail>(&mut data, &rows)?;
    restore::<Delivery>(&mut data, &rows)?;
    restore::<Answer>(&mut data, &rows)?;
    for row in sqlx::query("SELECT id, bytes FROM files").fetch_all(&mut *connection).await? {
        let bytes: Vec<u8> = row.try_get(1)?;
        data.files.insert(row.try_get(0)?, Bytes::from(bytes));
    }
    Ok(data)
}

fn restore<R: Row>(
    data: &mut Data,
    rows: &BTreeMap<String, Vec<String>>,
) -> Result<(), JournalError> {
    for json in rows.get(R::KIND).into_iter().flatten() {
        let row: R = serde_json::from_str(json)
            .map_err(|error| JournalError::new(format!("not a row of {}: {error}", R::KIND)))?;
        R::table(data).insert(row.id().to_owned(), row);
    }
    Ok(())
}

/// Writes until every sender is dropped, or until the first failure: later changes may depend on
/// those that could not be written.
async fn write(
    mut connection: SqliteConnection,
    mut entries: mpsc::UnboundedReceiver<Entry>,
) -> Result<(), JournalError> {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, 1024).await > 0 {
        let mut waiting = Vec::new();
        let mut changes = Vec::new();
        for entry in batch.drain(..) {
            match entry {
                Entry::Changes(more) => changes.extend(more),
                Entry::Flush(done) => waiting.push(done),
            }
        }
        let written = write_all(&mut connection, &changes).await;
        for done in waiting {
            let _ = done.send(written.clone());
        }
        if let Err(error) = written {
            tracing::error!(error = %error, "cannot write the state file");
            return Err(error);
        }
    }
    Ok(connection.close().await?)
}

async fn write_all(
    connection: &mut SqliteConnection,
    changes: &[Change],
) -> Result<(), JournalError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    for change in changes {
        let query = match change {
            Change::Put { kind, id, json } => {
                sqlx::query("INSERT OR REPLACE INTO rows (kind, id, json) VALUES (?, ?, ?)")
                    .bind(*kind)
                    .bind(id)
                    .bind(json)
            }
            Change::Remove { kind, id } => {
                sqlx::query("DELETE FROM rows WHERE kind = ? AND id = ?").bind(*kind).bind(id)
            }
            Change::PutFile { id, bytes } => {
                sqlx::query("INSERT OR REPLACE INTO files (id, bytes) VALUES (?, ?)")
                    .bind(id)
                    .bind(&bytes[..])
            }
            Change::RemoveFile { id } => sqlx::query("DELETE FROM files WHERE id = ?").bind(id),
        };
        query.execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}
