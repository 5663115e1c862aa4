//! [`PostgresOptions`].

use sqlx::PgPool;

use crate::queue::error::QueueError;

use super::{
    database::{Database, LONG, Sessions, in_time},
    open, pooler,
    store::PostgresStore,
};

/// Options for opening a [`PostgresStore`].
///
/// ```no_run
/// use openmail_tower::queue::PostgresOptions;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = std::env::var("DATABASE_URL")?;
/// let store = PostgresOptions::new().schema("mail").pool_size(4).connect(&url).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct PostgresOptions {
    schema: Option<String>,
    migrate: bool,
    size: u32,
}

impl PostgresOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self { schema: None, migrate: true, size: 8 }
    }

    /// Sets the schema of the tables. It must already exist. Default: the first schema of the
    /// connection's search path.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets whether to create or migrate the tables when the store is opened. If `false`, the
    /// tables must already be up to date, or [`PostgresStore::migrate`] must be called before the
    /// store is used. Once the tables are up to date, the role needs only `USAGE` on the schema,
    /// and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the tables. Default: `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets the maximum number of connections in the pool of [`connect`](Self::connect). The store
    /// uses one more for notifications and the locks of its workers. Default: 8.
    ///
    /// # Panics
    /// If it is less than 2.
    pub fn pool_size(mut self, connections: u32) -> Self {
        assert!(connections >= 2, "the pool needs at least two connections");
        self.size = connections;
        self
    }

    /// Connects to the database at a URL such as `postgres://user@host/database`. For the other
    /// parts of the URL, see
    /// [`PgConnectOptions`](https://docs.rs/sqlx/latest/sqlx/postgres/struct.PgConnectOptions.html).
    /// TLS needs the feature `queue-postgres-tls`.
    ///
    /// # Errors
    /// If the URL is not for PostgreSQL, if the database cannot be reached, or if a pooler in
    /// transaction mode is in front of it. If [`migrate`](Self::migrate) is `true`, also if the
    /// database's tables belong to a newer version of this crate, or if tables are missing and the
    /// role may not create them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, QueueError> {
        let pool = open::connect(url, self.size, self.schema.as_deref()).await?;
        self.open(pool, Sessions::Ours).await
    }

    /// Opens a store that uses the program's pool. It opens one more connection with the pool's
    /// options, for notifications and the locks of its workers.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn over(self, pool: PgPool) -> Result<PostgresStore, QueueError> {
        self.open(pool, Sessions::Theirs).await
    }

    async fn open(self, pool: PgPool, sessions: Sessions) -> Result<PostgresStore, QueueError> {
        in_time(LONG, pooler::check(&pool)).await??;
        let database = Database::new(pool, self.schema.as_deref(), sessions);
        if self.migrate {
            open::migrate(&database).await?;
        }
        Ok(PostgresStore::on(database))
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self::new()
    }
}
