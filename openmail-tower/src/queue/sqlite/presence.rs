//! Tracks which workers are alive, by locks that the operating system releases when their processes
//! end.
//!
//! Next to the database `inbox.db` is a directory `inbox.db-workers` with one file for each worker.
//! A worker locks its file for as long as it lives, so a file that can be locked belongs to a dead
//! worker. On a file system without locks, or one that grants every lock, a worker has no file, and
//! its entries are taken over only once their leases have expired.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::queue::lease::WorkerId;

/// A worker's lock, released on drop. The file stays until the worker's leases are taken over: by
/// another worker, or when its own store is closed.
#[derive(Debug)]
pub(super) struct Presence {
    // Closing it releases the lock.
    _lock: File,
}

impl Presence {
    /// Takes the lock of a new worker.
    ///
    /// # Errors
    /// If files cannot be written or locked, or if a lock excludes nobody.
    pub(super) fn take(folder: &Path, worker: WorkerId) -> io::Result<Self> {
        create_folder(folder)?;
        // Locked before it gets its name, so that no other worker sees it unlocked.
        let new = folder.join(format!("{worker}.new"));
        let lock = File::options().write(true).create(true).truncate(false).open(&new)?;
        let taken = take_lock(&lock, &new);
        if taken.is_err() {
            let _ = fs::remove_file(&new);
        }
        taken?;
        fs::rename(&new, folder.join(worker.to_string()))?;
        Ok(Self { _lock: lock })
    }
}

fn take_lock(file: &File, path: &Path) -> io::Result<()> {
    file.try_lock()?;
    match lock(path)? {
        None => Ok(()),
        // To other workers, this one would seem dead.
        Some(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the file system granted the lock twice",
        )),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The locks of dead workers, held so that no other worker takes over at the same time.
#[derive(Debug, Default)]
pub(super) struct Dead {
    locks: HashMap<WorkerId, (PathBuf, File)>,
    /// The number of live workers.
    pub(super) alive: u64,
}

impl Dead {
    /// Tries the lock of each worker.
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

    /// Removes the dead workers' files, once their leases are taken over. A worker that has opened
    /// such a file meanwhile finds no leases to take over. No new worker has the same name, since
    /// names are random.
    pub(super) fn remove(self) {
        for (path, _lock) in self.locks.into_values() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Locks a worker's file. Returns `None` if the worker itself, or one that takes over from it, has
/// locked it.
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
    fn worker_is_dead_when_its_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("inbox.db-workers");
        assert!(Dead::find(&folder).unwrap().workers().is_empty());
        let alive = Presence::take(&folder, WorkerId(1)).unwrap();
        // The file that a killed process leaves behind.
        drop(File::create(folder.join("2")).unwrap());
        let dead = Dead::find(&folder).unwrap();
        assert_eq!((dead.workers(), dead.alive), (vec![WorkerId(2)], 1));
        let other = Dead::find(&folder).unwrap();
        assert!(other.workers().is_empty(), "only one takes over");
        dead.remove();
        drop(alive);
        Dead::find(&folder).unwrap().remove();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_workers_directory() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("inbox.db-workers");
        let _alive = Presence::take(&folder, WorkerId(1)).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
