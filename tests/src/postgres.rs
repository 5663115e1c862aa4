//! A temporary PostgreSQL server, or a schema in an existing one.

use std::{
    env,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;
use tokio::time::sleep;

/// A temporary schema in an existing database.
#[derive(Debug)]
pub struct PostgresSchema {
    name: String,
    server: String,
    url: String,
}

impl PostgresSchema {
    /// Creates a schema in the database that `OPENMAIL_TEST_POSTGRES` names.
    ///
    /// # Panics
    /// If there is no such database.
    pub async fn new() -> Self {
        Self::on(env::var("OPENMAIL_TEST_POSTGRES").expect("OPENMAIL_TEST_POSTGRES is set")).await
    }

    /// Creates a schema in the database with this URL.
    ///
    /// # Panics
    /// If there is no such database.
    pub async fn on(server: String) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos();
        let name = format!("test_{}_{now}", std::process::id());
        let sign = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{sign}options=-csearch_path%3D{name}");
        let this = Self { name, server, url };
        this.run("CREATE SCHEMA").await;
        this
    }

    /// Returns the URL of the database, for connections to this schema.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a pool of connections to this schema.
    ///
    /// # Panics
    /// If it cannot be reached.
    pub async fn pool(&self) -> PgPool {
        PgPool::connect(&self.url).await.expect("the database")
    }

    /// Removes it, with everything in it.
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

/// A PostgreSQL server for one test, with its own port and directory. Stopped on drop.
#[derive(Debug)]
pub struct PostgresServer {
    programs: String,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl PostgresServer {
    /// Starts the programs in the directory that `OPENMAIL_TEST_POSTGRES_BIN` names. The server
    /// refuses to run as root, so root starts it as the user `postgres`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Self {
        let programs = env::var("OPENMAIL_TEST_POSTGRES_BIN").expect("a path to its programs");
        let folder = tempfile::tempdir().expect("a directory");
        let mut server = Self { programs, folder, port: 0, process: None };
        let made = server
            .command("initdb")
            .args(["--username=openmail", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(server.folder.path().join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb").success());
        server.restart().await;
        server
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("postgres://openmail@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Makes it a read-only replica from its next start on.
    ///
    /// # Panics
    /// If the file that makes it a replica cannot be written.
    pub fn follow(&self) {
        File::create(self.folder.path().join("data/standby.signal")).expect("a file");
    }

    /// Stops it at once, like a crash: what it has not yet written to its files is lost.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGQUIT, since SIGKILL would leave the server's child processes behind.
            let id = process.id().to_string();
            let sent = Command::new("kill").args(["-QUIT", &id]).status();
            assert!(sent.expect("kill").success());
            process.wait().expect("a child process");
        }
    }

    /// Stops it if it runs, and starts it again, on the same port if no other program has taken it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        for _ in 0..20 {
            if self.port == 0 {
                // Free now; another program may take it before the server does.
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                self.port = listener.local_addr().expect("a port").port();
            }
            if self.up().await {
                return;
            }
            assert!(self.folder.path().join("data/PG_VERSION").exists());
            self.port = 0;
        }
        panic!("PostgreSQL does not start");
    }

    async fn up(&mut self) -> bool {
        let log = File::create(self.folder.path().join("log")).expect("a log");
        let url = self.url();
        let process = self
            .command("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres");
        // Owned from now on, so that it is stopped even if it does not accept connections in time.
        let process = self.process.insert(process);
        for _ in 0..600 {
            if process.try_wait().expect("a child process").is_some() {
                self.process = None;
                return false;
            }
            if let Ok(pool) = PgPool::connect(&url).await {
                pool.close().await;
                return true;
            }
            // It does not announce that it accepts connections.
            sleep(Duration::from_millis(50)).await;
        }
        self.stop();
        false
    }

    fn command(&self, program: &str) -> Command {
        unprivileged(&Path::new(&self.programs).join(program), self.folder.path())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns a command that runs in a folder. If this process is root's, the command runs as the user
/// `postgres`, who becomes the owner of the folder.
pub(crate) fn unprivileged(program: &Path, folder: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().expect("id");
    let mut command = if id.stdout == b"0\n" {
        let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder).status();
        assert!(owned.expect("chown").success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}
