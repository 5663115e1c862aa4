//! Which workers are alive, by locks that the operating system drops with their processes.
//!
//! Beside the database `inbox.db` is a directory `inbox.db-workers` with a file for each worker. The
//! worker locks its file as long as it lives. A file that another can lock belongs to a worker that is
//! dead. A worker without a file (on a file system without locks, it has none) is judged by its
//! leases alone.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::queue::lease::WorkerId;

/// A worker's lock, which ends with it. Its file stays until another worker has taken over what the
/// worker may have left behind.
#[derive(Debug)]
pub(super) struct Presence {
    // Closing it unlocks it.
    _lock: File,
}

impl Presence {
    /// Takes the lock of a new worker.
    ///
    /// # Errors
    /// Fails where files cannot be written or locked.
    pub(super) fn take(folder: &Path, worker: WorkerId) -> io::Result<Self> {
        create_folder(folder)?;
        // Locked before it has its name: no other sees it without its lock.
        let new = folder.join(format!("{worker}.new"));
        let lock = File::options().write(true).create(true).truncate(false).open(&new)?;
        if let Err(error) = lock.try_lock() {
            let _ = fs::remove_file(&new);
            return Err(error.into());
        }
        fs::rename(&new, folder.join(worker.to_string()))?;
        Ok(Self { _lock: lock })
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The locks of dead workers, held so that no other takes over at the same time.
#[derive(Debug, Default)]
pub(super) struct Dead {
    locks: HashMap<WorkerId, (PathBuf, File)>,
    /// How many workers are alive.
    pub(super) alive: u64,
}

impl Dead {
    /// Looks at each worker's lock.
    pub(super) fn find(folder: &Path) -> io::Result<Self> {
        let mut dead = Self::default();
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(dead),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(worker) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match lock(&entry.path()) {
                Ok(Some(file)) => {
                    dead.locks.insert(WorkerId(worker), (entry.path(), file));
                }
                Ok(None) => dead.alive += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(dead)
    }

    pub(super) fn workers(&self) -> Vec<WorkerId> {
        self.locks.keys().copied().collect()
    }

    /// Removes their files, once their leases were taken over.
    pub(super) fn remove(self) {
        for (path, _lock) in self.locks.into_values() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Locks a worker's file, unless its worker has it locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_dead_when_its_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("inbox.db-workers");
        assert!(Dead::find(&folder).unwrap().workers().is_empty());
        let alive = Presence::take(&folder, WorkerId(1)).unwrap();
        // What a process leaves that was killed.
        drop(File::create(folder.join("2")).unwrap());
        let dead = Dead::find(&folder).unwrap();
        assert_eq!((dead.workers(), dead.alive), (vec![WorkerId(2)], 1));
        let other = Dead::find(&folder).unwrap();
        assert!(other.workers().is_empty(), "one takes over");
        dead.remove();
        drop(alive);
        Dead::find(&folder).unwrap().remove();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_sees_the_workers() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("inbox.db-workers");
        let _alive = Presence::take(&folder, WorkerId(1)).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
