//! A sender without a secret that holds bodies open cannot keep good mail out.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use openmail_tests::{Process, head, mail_of, raw};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

const SERVER: &str = env!("CARGO_BIN_EXE_server");
/// Maximum time for a good mail of up to 64 KiB to be answered.
const PROMPT: Duration = Duration::from_secs(5);
/// The number of OpenMail's attempts.
const ATTEMPTS: usize = 5;
const MIB: usize = 1 << 20;

/// Connections that each send the body of a forged request except its last byte, and then stall.
#[derive(Clone, Copy, Debug)]
struct Attack {
    connections: usize,
    /// The length of each body.
    body: usize,
    /// Bytes per second, of all connections together, once the budget is full.
    rate: usize,
}

impl Attack {
    /// Starts it: at an unlimited rate until the budget is full.
    fn start(self, address: SocketAddr) -> JoinSet<()> {
        let mut senders = JoinSet::new();
        for _ in 0..self.connections {
            senders.spawn(async move {
                let mut hurry = self.body.min(60 * MIB / self.connections);
                loop {
                    // It is cut off repeatedly, and reconnects.
                    let _ = self.hold(address, &mut hurry).await;
                    sleep(Duration::from_millis(10)).await;
                }
            });
        }
        senders
    }

    async fn hold(self, address: SocketAddr, hurry: &mut usize) -> std::io::Result<()> {
        let head = head(b"", &format!("content-length: {}\r\n", self.body));
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&head).await?;
        let (mut reading, mut writing) = stream.split();
        let send = async {
            let rate = (self.rate / self.connections).max(1);
            let chunk = vec![b' '; rate.min(16 << 10)];
            let mut pace =
                interval(Duration::from_secs(1).mul_f64(chunk.len() as f64 / rate as f64));
            let mut left = self.body - 1;
            while left > 0 {
                if *hurry == 0 {
                    pace.tick().await;
                }
                let part = &chunk[..chunk.len().min(left)];
                writing.write_all(part).await?;
                left -= part.len();
                *hurry = hurry.saturating_sub(part.len());
            }
            std::future::pending::<()>().await;
            Ok(())
        };
        let mut response = [0; 512];
        tokio::select! {
            result = send => result,
            result = reading.read(&mut response) => result.map(drop),
        }
    }
}

/// Sends a complete, valid request. Returns the first line of the response, or "too late".
async fn deliver(address: SocketAddr, json: &[u8], limit: Duration) -> String {
    let head = head(json, &format!("content-length: {}\r\n", json.len()));
    timeout(limit, raw(address, &[&head, json])).await.unwrap_or_else(|_| "too late".to_owned())
}

/// A mail whose attachments have no text. It consists of many small parts.
fn mail_with_photos(number: usize) -> Vec<u8> {
    let photo = r#"{"filename":"photo.jpg","contentType":"image/jpeg","sizeBytes":48213,
        "url":"https://api.openmail.sh/v1/attachments/msg_1/photo.jpg"}"#;
    let photos = vec![photo; number].join(",");
    let mail = format!(
        r#"{{"event":"message.received","event_id":"evt_1","inbox_id":"inb_1","message":{{
            "id":"msg_1","from":"ada@example.com","attachments":[{photos}]}}}}"#
    );
    mail.into_bytes()
}

async fn good_mail_gets_through(attack: Attack) {
    rlimit::increase_nofile_limit(8192).unwrap();
    let server = Process::start_with(SERVER, &["prompt"]);
    let address = server.address();
    let small = mail_of(64 << 10);
    let photos = mail_with_photos(40);
    let large = mail_of(5_000_000);
    assert_eq!(deliver(address, &large, PROMPT).await, "HTTP/1.1 200 OK");
    let before = server.memory();
    let senders = attack.start(address);
    sleep(Duration::from_secs(1)).await;
    let (mut taken, mut slowest, begun) = (Vec::new(), Duration::ZERO, Instant::now());
    let mut attempts = 0;
    let mut large_taken = false;
    while begun.elapsed() < Duration::from_secs(4) || taken.len() < 100 {
        let start = Instant::now();
        let mail = if taken.len() % 2 == 0 { &small } else { &photos };
        taken.push(deliver(address, mail, PROMPT).await == "HTTP/1.1 200 OK");
        slowest = slowest.max(start.elapsed());
        if !large_taken && taken.len() % 20 == 0 && attempts < ATTEMPTS {
            attempts += 1;
            large_taken = deliver(address, &large, PROMPT * 3).await == "HTTP/1.1 200 OK";
        }
    }
    let good = taken.iter().filter(|taken| **taken).count();
    let memory = server.memory();
    drop(senders);
    println!(
        "{attack:?}: {good} of {} small ones taken, the slowest in {slowest:?}; a large one at \
         attempt {attempts}; {} MiB at the peak over {}",
        taken.len(),
        memory.peak >> 10,
        before.now >> 10,
    );
    assert!(good * 100 >= taken.len() * 99, "{good} of {}", taken.len());
    assert!(large_taken, "not within OpenMail's attempts");
    // The budget, plus what each connection takes: a read buffer of at most 64 KiB, and what the
    // allocator keeps. Measured with 512 connections: 125 KiB each.
    let connections = u64::try_from(attack.connections).unwrap() + 2;
    let most = before.now + 64 * 1024 + connections * 320;
    assert!(memory.peak < most, "{memory:?}, {most}");
}

/// 100 Mbit/s, of all connections together.
const FAST: usize = 100_000_000 / 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_connections_with_large_bodies_starve_nobody() {
    good_mail_gets_through(Attack { connections: 8, body: 8 * MIB, rate: FAST }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_with_large_bodies_starve_nobody() {
    good_mail_gets_through(Attack { connections: 64, body: 8 * MIB, rate: FAST }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_connections_with_large_bodies_starve_nobody() {
    good_mail_gets_through(Attack { connections: 512, body: 8 * MIB, rate: FAST }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_dripping_connections_starve_nobody() {
    good_mail_gets_through(Attack { connections: 512, body: 8 * MIB, rate: 512 * 1000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_connections_with_small_bodies_starve_nobody() {
    good_mail_gets_through(Attack { connections: 512, body: 64 << 10, rate: FAST }).await;
}
