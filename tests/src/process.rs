//! A program in its own process.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// A program that prints its address and serves until it is killed or, if it reads its standard
/// input, until that ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// A process's memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// The memory that it uses now.
    pub now: u64,
    /// The most memory that it has used.
    pub peak: u64,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started, or prints no address.
    pub fn start(program: &str) -> Self {
        Self::start_with(program, &[])
    }

    /// Starts it with arguments.
    ///
    /// # Panics
    /// If it cannot be started, or prints no address.
    pub fn start_with(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its memory, as Linux reports it.
    ///
    /// # Panics
    /// If it has ended.
    pub fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        Memory { now: field("VmRSS:"), peak: field("VmHWM:") }
    }

    /// Closes its standard input, and waits until it ends.
    ///
    /// # Panics
    /// If it fails.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("a child process").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
