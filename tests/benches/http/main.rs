//! Measures the requests per second over loopback of our webhook, and of the same server when it
//! only reads the body, and the memory of idle connections.
//!
//! `cargo bench -p openmail-tests --bench http`
//!
//! The servers are separate processes: this program, started again with the server's name.

mod load;
mod server;

use std::{env, time::Duration};

use openmail_tests::measure::{Table, median, percentile, processor_time, resident, time};
use server::Server;

/// The number of measurements of each side.
const ROUNDS: usize = 12;
const ROUND: Duration = Duration::from_millis(400);
/// The number of idle connections.
const IDLE: usize = 10_000;

fn main() {
    if let Some(name) = env::args().nth(1).filter(|name| !name.starts_with('-')) {
        return server::serve(&name);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        throughput().await;
        idle().await;
    });
}

async fn throughput() {
    let servers = [Server::start(server::PLAIN), Server::start(server::OURS)];
    let columns =
        ["body", "connections", "server", "requests", "× plain", "p50", "p99", "CPU each"];
    let mut table = Table::new(columns);
    for (bytes, size) in [(1 << 10, "1 KiB"), (8 << 10, "8 KiB")] {
        let request = load::request(bytes);
        for count in [1, 64] {
            let mut sides = Vec::new();
            for server in &servers {
                sides.push(Side::new(server, count).await);
            }
            // The first round is a warm-up.
            for round in 0..=ROUNDS {
                for place in 0..2 {
                    sides[(round + place) % 2].round(&request, round > 0).await;
                }
            }
            for side in &sides {
                let rate = |side: &Side<'_>| {
                    side.rounds
                        .iter()
                        .map(|it| it.len() as f64 / ROUND.as_secs_f64())
                        .collect::<Vec<_>>()
                };
                let ratios =
                    rate(&sides[0]).into_iter().zip(rate(side)).map(|(plain, its)| its / plain);
                let all = || side.rounds.iter().flatten().map(Duration::as_secs_f64);
                let at = |part| time(Duration::from_secs_f64(percentile(all(), part)));
                table.row([
                    size.into(),
                    count.to_string(),
                    side.server.name.into(),
                    format!("{:.0}/s", median(rate(side))),
                    format!("{:.2}", median(ratios)),
                    at(0.5),
                    at(0.99),
                    time(side.processor.div_f64(all().count() as f64)),
                ]);
            }
        }
    }
    table.print("http");
}

/// A server under load.
struct Side<'a> {
    server: &'a Server,
    connections: Vec<load::Connection>,
    /// The time of each exchange.
    rounds: Vec<Vec<Duration>>,
    /// The server's processor time during the rounds.
    processor: Duration,
}

impl<'a> Side<'a> {
    async fn new(server: &'a Server, connections: usize) -> Self {
        let connections = load::open(server.address, connections).await;
        Self { server, connections, rounds: Vec::new(), processor: Duration::ZERO }
    }

    async fn round(&mut self, request: &[u8], counts: bool) {
        let before = processor_time(self.server.id());
        let latencies = load::run(&mut self.connections, request, ROUND).await;
        if counts {
            self.processor += processor_time(self.server.id()) - before;
            self.rounds.push(latencies);
        }
    }
}

/// Measures connections that have had one response and now wait.
async fn idle() {
    let request = load::request(1 << 10);
    let mut table = Table::new(["server", "idle connections", "memory per connection"]);
    for name in [server::PLAIN, server::OURS] {
        let server = Server::start(name);
        // The memory that the first requests leave behind does not belong to the connections.
        let mut warm = load::open(server.address, 64).await;
        load::run(&mut warm, &request, ROUND).await;
        drop(warm);
        let before = resident(server.id());
        let mut connections = load::open(server.address, IDLE).await;
        for connection in &mut connections {
            connection.exchange(&request).await;
        }
        let bytes = resident(server.id()).saturating_sub(before);
        table.row([name.into(), IDLE.to_string(), format!("{} bytes", bytes / IDLE as u64)]);
    }
    table.print("idle");
}
