//! A part of a PostgreSQL of one's own.

use std::{env, time::SystemTime};

use sqlx::{AssertSqlSafe, PgPool};

/// A schema of its own in the database that `OPENMAIL_TEST_POSTGRES` names.
#[derive(Debug)]
pub struct PostgresSchema {
    name: String,
    server: String,
    url: String,
}

impl PostgresSchema {
    /// Makes it.
    ///
    /// # Panics
    /// When there is no such database.
    pub async fn new() -> Self {
        Self::on(env::var("OPENMAIL_TEST_POSTGRES").expect("OPENMAIL_TEST_POSTGRES is set")).await
    }

    /// Makes it in the database of this URL.
    ///
    /// # Panics
    /// When there is no such database.
    pub async fn on(server: String) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos();
        let name = format!("test_{}_{now}", std::process::id());
        let sign = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{sign}options=-csearch_path%3D{name}");
        let this = Self { name, server, url };
        this.run("CREATE SCHEMA").await;
        this
    }

    /// The database, for connections to this schema.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connections to this schema.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn pool(&self) -> PgPool {
        PgPool::connect(&self.url).await.expect("the database")
    }

    /// Removes it, with all that is in it.
    pub async fn drop(self) {
        self.run("DROP SCHEMA").await;
    }

    async fn run(&self, command: &str) {
        let pool = PgPool::connect(&self.server).await.expect("the database");
        let cascade = if command.starts_with("DROP") { "CASCADE" } else { "" };
        sqlx::query(AssertSqlSafe(format!("{command} {} {cascade}", self.name)))
            .execute(&pool)
            .await
            .expect("a schema");
        pool.close().await;
    }
}
