//! [`SqliteOptions`].

use std::{path::Path, time::Duration};

use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

use crate::queue::error::QueueError;

use super::{
    clock::{self, Source},
    file::Watched,
    open,
    store::SqliteStore,
    write::Writer,
};

/// How to open a [`SqliteStore`].
#[derive(Clone)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct SqliteOptions {
    migrate: bool,
    readers: u32,
    clock: Source,
}

impl SqliteOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self { migrate: true, readers: 2, clock: clock::system() }
    }

    /// Whether to create the tables, or bring them to this version, when the store is opened. If not,
    /// call [`SqliteStore::migrate`] before the store is first used. Default: `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// The most connections that count and list entries. All changes are made by one more. Default: 2.
    ///
    /// # Panics
    /// Panics if it is 0.
    pub fn readers(mut self, readers: u32) -> Self {
        assert!(readers > 0, "a store needs a connection to read with");
        self.readers = readers;
        self
    }

    /// Opens a file, which is created if there is none, readable by its owner only.
    ///
    /// # Errors
    /// Fails when the file cannot be opened, is in memory, or its tables are of a newer version of
    /// this crate.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, QueueError> {
        let path = path.as_ref();
        open::check_path(path)?;
        open::create(path).await?;
        let options = open::options(path);
        let mut connection = open::connect(&options).await?;
        if self.migrate {
            open::migrate(&mut connection).await?;
        }
        // Each has a thread of its own, so few, and none that idles for long.
        let readers = SqlitePoolOptions::new()
            .max_connections(self.readers)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.clone().create_if_missing(false));
        let mut file = Watched::new(path);
        // From here on, whatever is at this path is the database that was opened.
        file.look().await;
        let writer = Writer::new(options.create_if_missing(false), connection, file, self.clock);
        Ok(SqliteStore::over(writer, readers, path))
    }

    /// Uses a pool of the program's to read with, and its options for the one connection that writes.
    /// That connection sets write-ahead mode and `synchronous=FULL`, whatever the pool has.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub async fn over(self, pool: SqlitePool) -> Result<SqliteStore, QueueError> {
        let options = open::writing((*pool.connect_options()).clone());
        let path = options.get_filename().to_owned();
        let mut connection = open::connect(&options).await?;
        if self.migrate {
            open::migrate(&mut connection).await?;
        }
        let mut file = Watched::new(&path);
        file.look().await;
        let writer = Writer::new(options.create_if_missing(false), connection, file, self.clock);
        Ok(SqliteStore::over(writer, pool, &path))
    }

    #[cfg(test)]
    pub(super) fn clock(mut self, clock: Source) -> Self {
        self.clock = clock;
        self
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("migrate", &self.migrate)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}
