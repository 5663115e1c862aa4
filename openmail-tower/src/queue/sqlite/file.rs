//! The database file: its permissions, and whether it is still in place.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use crate::{
    queue::error::{QueueError, QueueErrorKind},
    telemetry::store as telemetry,
};

/// Creates the file if it is missing. On Unix, only its owner can read it, since it contains mail.
/// SQLite gives its write-ahead log and index the same permissions.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The files that a connection has open, identified independently of their names.
///
/// If a database file is deleted or replaced, SQLite continues with the one that it has open, and
/// what is written there is lost with the process.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    opened: Option<Files>,
    is_gone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    database: Option<Identity>,
    log: Option<Identity>,
}

/// The device and the inode.
type Identity = (u64, u64);

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: None, is_gone: false }
    }

    /// Returns whether the file was deleted or replaced when last checked.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Records that a connection was opened. The next check records which files it has open.
    pub(super) fn opened(&mut self) {
        (self.opened, self.is_gone) = (None, false);
    }

    /// Checks whether the files are still those that were opened.
    pub(super) async fn look(&mut self) {
        let path = self.path.clone();
        let Ok(found) = spawn_blocking(move || Files::at(&path)).await else { return };
        let opened = *self.opened.get_or_insert(found);
        let is_gone = found != opened || !found.is_there();
        if is_gone != self.is_gone {
            self.is_gone = is_gone;
            let log = if is_gone { telemetry::file_gone } else { telemetry::file_back };
            log(&self.path);
        }
    }

    pub(super) fn gone(&self) -> QueueError {
        let text = format!("{} was deleted or replaced", self.path.display());
        QueueError::new(QueueErrorKind::Unavailable, text)
    }
}

impl Files {
    fn at(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self { database: identity(path), log: identity(Path::new(&log)) }
    }

    fn is_there(self) -> bool {
        // On systems without inodes, an open file cannot be deleted.
        !cfg!(unix) || (self.database.is_some() && self.log.is_some())
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}
