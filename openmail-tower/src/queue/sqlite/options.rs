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

/// Who closes a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The store.
    Ours,
    /// The program.
    Theirs,
}

/// Options for opening a [`SqliteStore`].
///
/// ```no_run
/// use openmail_tower::queue::SqliteOptions;
///
/// # async fn example() -> Result<(), openmail_tower::queue::QueueError> {
/// let store = SqliteOptions::new().readers(4).open("/data/inbox.db").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct SqliteOptions {
    migrate: bool,
    readers: u32,
    clock: Source,
}

impl SqliteOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self { migrate: true, readers: 2, clock: clock::system() }
    }

    /// Sets whether to create or migrate the tables when the store is opened. If `false`, the
    /// tables must already be up to date, or [`SqliteStore::migrate`] must be called before the
    /// store is used. Default: `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets the maximum number of connections for counting and listing entries. All changes go
    /// through one additional connection. [`over`](Self::over) reads through the program's pool
    /// instead. Default: 2.
    ///
    /// # Panics
    /// If it is 0.
    pub fn readers(mut self, readers: u32) -> Self {
        assert!(readers > 0, "the number of readers must not be 0");
        self.readers = readers;
        self
    }

    /// Opens a file. If it is missing, it is created; on Unix, only its owner can read it.
    ///
    /// # Errors
    /// If the path is a URL, if it names an in-memory database, or if the file cannot be opened. If
    /// [`migrate`](Self::migrate) is `true`, also if the file's tables belong to a newer version of
    /// this crate.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, QueueError> {
        let path = path.as_ref();
        open::check_path(path)?;
        open::create(path).await?;
        let options = open::options(path);
        let mut connection = open::connect(&options).await?;
        if self.migrate {
            open::migrate(&mut connection).await?;
        }
        // Each connection has its own thread, so there are few, and none idles for long.
        let readers = SqlitePoolOptions::new()
            .max_connections(self.readers)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.clone().create_if_missing(false));
        let mut file = Watched::new(path);
        // From here on, the file at this path is the database. If it is replaced, no event is added
        // any more.
        file.look().await;
        let writer = Writer::new(options.create_if_missing(false), connection, file, self.clock);
        Ok(SqliteStore::over(writer, readers, Whose::Ours, path))
    }

    /// Opens a store that reads through the program's pool, and writes through one connection of
    /// its own with the pool's options. That connection sets write-ahead mode and
    /// `synchronous=FULL`, whatever the pool's options say.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
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
        Ok(SqliteStore::over(writer, pool, Whose::Theirs, &path))
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
