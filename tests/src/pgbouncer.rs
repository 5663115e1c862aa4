//! A PgBouncer in front of a PostgreSQL server.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::postgres::unprivileged;

/// A PgBouncer for one test, with its own port and directory. Stopped on drop.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts the program that `OPENMAIL_TEST_PGBOUNCER` names, in a pool mode: `session` or
    /// `transaction`. It refuses to run as root, so root starts it as the user `postgres`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(server: SocketAddr, mode: &str) -> Self {
        let program = env::var("OPENMAIL_TEST_PGBOUNCER").expect("a path to pgbouncer");
        for _ in 0..20 {
            // Free now; another program may take it before PgBouncer does.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let address = listener.local_addr().expect("a port");
            drop(listener);
            let folder = tempfile::tempdir_in("/tmp").expect("a directory");
            let file = folder.path().join("pgbouncer.ini");
            fs::write(&file, configuration(server, address, mode)).expect("a file");
            let mut process = unprivileged(program.as_ref(), folder.path())
                .arg(&file)
                .stderr(Stdio::null())
                .spawn()
                .expect("pgbouncer");
            if listens(&mut process, address).await {
                return Self { process, address, _folder: folder };
            }
        }
        panic!("PgBouncer does not start");
    }

    /// Returns the URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://openmail@{}/{database}", self.address)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(server: SocketAddr, address: SocketAddr, mode: &str) -> String {
    format!(
        "[databases]
* = host={} port={} user=openmail
[pgbouncer]
listen_addr = {}
listen_port = {}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits
",
        server.ip(),
        server.port(),
        address.ip(),
        address.port()
    )
}

async fn listens(process: &mut Child, address: SocketAddr) -> bool {
    for _ in 0..200 {
        if process.try_wait().expect("a child process").is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        // It does not announce that it listens.
        sleep(Duration::from_millis(50)).await;
    }
    let _ = process.kill();
    let _ = process.wait();
    false
}
