//! [`PostgresOptions`].

use sqlx::PgPool;

use crate::queue::error::QueueError;

use super::{
    database::{Database, LONG, Sessions, in_time},
    open, pooler,
    store::PostgresStore,
};

/// How to open a [`PostgresStore`].
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct PostgresOptions {
    schema: Option<String>,
    migrate: bool,
    size: u32,
}

impl PostgresOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self { schema: None, migrate: true, size: 8 }
    }

    /// The schema of the tables, which must exist. Default: the first schema of the connection's
    /// search path.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Whether to create the tables, or bring them to this version, when the store is opened. If not,
    /// they must be of this version, or [`PostgresStore::migrate`] be called before the store is first
    /// used. Once the tables are of this version, a role needs no other rights than `USAGE` of the
    /// schema and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the tables. Default: `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// The most connections in the pool of [`connect`](Self::connect), which needs one more for what
    /// the database tells. Default: 8.
    ///
    /// # Panics
    /// Panics if it is less than 2.
    pub fn pool_size(mut self, connections: u32) -> Self {
        assert!(connections >= 2, "a store needs two connections");
        self.size = connections;
        self
    }

    /// Connects to a database, as in `postgres://user@host/database`. What else the URL may hold is
    /// listed at
    /// [`PgConnectOptions`](https://docs.rs/sqlx/latest/sqlx/postgres/struct.PgConnectOptions.html).
    /// TLS needs the feature `queue-postgres-tls`.
    ///
    /// # Errors
    /// Fails when the database cannot be reached, its tables are of a newer version of this crate,
    /// the URL is not of PostgreSQL, or a pooler between takes sessions apart.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, QueueError> {
        let pool = open::connect(url, self.size, self.schema.as_deref()).await?;
        self.open(pool, Sessions::Ours).await
    }

    /// Uses a pool of the program's, and one connection more with the pool's options for what the
    /// database tells.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
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
