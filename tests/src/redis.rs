//! A temporary Redis server.

use std::{
    env,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The arguments that write every change to disk before it is answered.
const DURABLE: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A Redis server for one test, with its own port and directory. Unless it is given other
/// arguments, it writes every change to disk before it answers. Killed on drop.
#[derive(Debug)]
pub struct RedisServer {
    program: String,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts the program that `OPENMAIL_TEST_REDIS_SERVER` names.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), but with these arguments instead of those that make it durable.
    /// A path to a configuration file must come first.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let program = env::var("OPENMAIL_TEST_REDIS_SERVER").expect("a path to redis-server");
        let folder = tempfile::tempdir().expect("a directory");
        let mut server = Self { program, port: 0, folder, arguments, process: None };
        for _ in 0..20 {
            // Free now; another program may take it before Redis does.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            server.port = listener.local_addr().expect("a port").port();
            drop(listener);
            if server.up() {
                return server;
            }
        }
        panic!("Redis does not start");
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns its socket address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Makes it a replica of another server: from then on it refuses writes, but keeps its
    /// connections.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn follow(&self, primary: &Self) {
        let command = format!("REPLICAOF 127.0.0.1 {}\r\n", primary.port);
        let answer = self.ask(command.as_bytes()).expect("it answers");
        assert!(answer.starts_with(b"+OK"), "it refuses to follow");
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a child process");
            process.wait().expect("a child process");
        }
    }

    /// Kills it if it runs, and starts it again with its saved data.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        assert!((0..20).any(|_| self.up()), "Redis does not start again");
    }

    fn up(&mut self) -> bool {
        let mut process = Command::new(&self.program)
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(if self.arguments.is_empty() { DURABLE } else { &[] })
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if process.try_wait().expect("a child process").is_some() {
                return false;
            }
            if self.ping().is_ok_and(|answer| answer.starts_with(b"+PONG")) {
                self.process = Some(process);
                return true;
            }
            // It does not announce that it accepts connections.
            thread::sleep(Duration::from_millis(20));
        }
        process.kill().expect("a child process");
        process.wait().expect("a child process");
        false
    }

    fn ping(&self) -> io::Result<[u8; 5]> {
        self.ask(b"PING\r\n")
    }

    fn ask(&self, command: &[u8]) -> io::Result<[u8; 5]> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(command)?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
