//! An nginx in front of receivers.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// An nginx for one test, in front of some backends. It forwards requests with the default
/// settings, except that it accepts bodies of up to 16 MiB. Killed on drop.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    http1: SocketAddr,
    http2: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts the program that `OPENMAIL_TEST_NGINX` names.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(backends: &[SocketAddr]) -> Self {
        let program = env::var("OPENMAIL_TEST_NGINX").expect("a path to nginx");
        for _ in 0..20 {
            let folder = tempfile::tempdir().expect("a directory");
            let [http1, http2] = free_ports();
            let file = folder.path().join("nginx.conf");
            fs::write(&file, configuration(folder.path(), backends, http1, http2)).expect("a file");
            let mut process = Command::new(&program)
                .arg("-p")
                .arg(folder.path())
                .arg("-c")
                .arg(&file)
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx");
            if listens(&mut process, http2) {
                return Self { process, http1, http2, _folder: folder };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("nginx does not start");
    }

    /// Returns its address for HTTP/1.1.
    pub fn http1(&self) -> SocketAddr {
        self.http1
    }

    /// Returns its address for HTTP/2 without TLS.
    pub fn http2(&self) -> SocketAddr {
        self.http2
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(
    folder: &Path,
    backends: &[SocketAddr],
    http1: SocketAddr,
    http2: SocketAddr,
) -> String {
    let folder = folder.display();
    let servers: String = backends.iter().map(|address| format!("server {address};")).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    // A single process, which ends when it is killed.
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
         events {{}}
         http {{
           access_log off;
           {temporary}
           client_max_body_size 16m;
           upstream two {{ {servers} }}
           server {{
             listen {http1};
             listen {http2} http2;
             location / {{ proxy_pass http://two; }}
           }}
         }}"
    )
}

/// Returns ports that are free now; another program may take them before nginx does.
fn free_ports() -> [SocketAddr; 2] {
    let listeners =
        [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address"))
}

fn listens(process: &mut Child, address: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if process.try_wait().expect("a child process").is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        // It does not announce that it listens.
        thread::sleep(Duration::from_millis(10));
    }
    false
}
