//! A temporary PostgreSQL database, and roles in it.

use std::{env, time::Duration};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tokio::time::{sleep, timeout};

/// Waits until the server has been up for 10 s. Before that, a worker gives the others time to
/// reconnect.
///
/// # Panics
/// If the server cannot be reached, or has not been up for that long after 60 s.
pub async fn until_settled(url: &str) {
    let mut session = PgConnection::connect(url).await.expect("a server");
    let is_settled = "SELECT pg_postmaster_start_time() < clock_timestamp() - interval '10 s'";
    let settled = async {
        loop {
            let answer = sqlx::query_scalar(is_settled).fetch_one(&mut session).await;
            if answer.expect("an answer") {
                break;
            }
            // The server does not announce that it has settled, so this polls.
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), settled).await.expect("it is settled");
    session.close().await.expect("it is closed");
}

/// A database on the server that `OPENMAIL_TEST_POSTGRES` names.
#[derive(Debug)]
pub struct PostgresDatabase {
    name: String,
    server: String,
    url: String,
}

/// A role for a database. At first, it has no rights to the database's tables.
#[derive(Debug)]
pub struct PostgresRole {
    name: String,
    server: String,
    database: String,
    url: String,
}

impl PostgresDatabase {
    /// Creates it, with further options of `CREATE DATABASE`.
    ///
    /// # Panics
    /// If there is no such server.
    pub async fn new(options: &str) -> Self {
        let server = env::var("OPENMAIL_TEST_POSTGRES").expect("OPENMAIL_TEST_POSTGRES is set");
        let name = format!("test_{:016x}", fastrand::u64(..));
        let (host, _) = server.rsplit_once('/').expect("a database in the URL");
        let url = format!("{host}/{name}");
        let this = Self { name, server, url };
        this.run(&format!("CREATE DATABASE {} {options}", this.name)).await;
        this
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a command on the server, outside of the database.
    ///
    /// # Panics
    /// If it fails.
    pub async fn run(&self, command: &str) {
        run(&self.server, command).await;
    }

    /// Creates a role without rights.
    ///
    /// # Panics
    /// If there is no such server.
    pub async fn role(&self) -> PostgresRole {
        let name = format!("role_{:016x}", fastrand::u64(..));
        self.run(&format!("CREATE ROLE {name} LOGIN")).await;
        let (_, host) = self.url.rsplit_once('@').expect("a user in the URL");
        let url = format!("postgres://{name}@{host}");
        PostgresRole { name, server: self.server.clone(), database: self.url.clone(), url }
    }

    /// Removes it, and closes its connections.
    pub async fn drop(self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

impl PostgresRole {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the database for this role.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets it read and write the rows of the existing tables, but not create tables.
    ///
    /// # Panics
    /// If it fails.
    pub async fn grant_rows(&self) {
        let rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public";
        for command in [
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
            format!("GRANT {rights} TO {}", self.name),
        ] {
            // The database may be read-only.
            run(&self.database, &format!("SET transaction_read_only = off; {command}")).await;
        }
    }

    /// Removes it.
    pub async fn drop(self) {
        for command in [format!("DROP OWNED BY {}", self.name), format!("DROP ROLE {}", self.name)]
        {
            let on = if command.contains("OWNED") { &self.database } else { &self.server };
            run(on, &format!("SET transaction_read_only = off; {command}")).await;
        }
    }
}

async fn run(url: &str, command: &str) {
    let pool = PgPool::connect(url).await.expect("the database");
    pool.execute(AssertSqlSafe(command)).await.expect(command);
    pool.close().await;
}
