//! Measures how many mails per second are delivered over HTTP and answered with a reply that
//! OpenMail accepts, on SQLite and PostgreSQL, and how much of the work is this crate's.
//!
//! `cargo bench -p openmail-tests --bench reply`; PostgreSQL is measured if
//! `OPENMAIL_TEST_POSTGRES` is set to its URL, as it is after `. .ci/services && start_services`.
//!
//! The receivers and the API are separate processes: this program, started again with the role's
//! name. The API answers at once. The floor is a receiver without verification, queue and worker:
//! it reads the thread and sends the reply before it answers.

mod api;
mod load;
mod receiver;

use std::{
    env,
    time::{Duration, Instant},
};

use openmail_tests::{
    PostgresSchema, Process,
    measure::{Table, median, processor_time, time},
};

/// The number of measurements of each side.
const ROUNDS: usize = 5;
/// The number of mails in each measurement.
const MAILS: usize = 6_000;
/// The number of threads that the mails belong to, and of connections over which they are
/// delivered.
const THREADS: usize = 64;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [api::NAME] => return api::serve().await,
        [receiver::NAME, database, api] => return receiver::serve(database, api).await,
        _ => {}
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = folder.path().join("inbox.db").display().to_string();
    let mut databases = vec![("floor", receiver::FLOOR.to_owned()), ("SQLite", file)];
    let schema = match env::var_os("OPENMAIL_TEST_POSTGRES") {
        Some(_) => Some(PostgresSchema::new().await),
        None => None,
    };
    databases.extend(schema.iter().map(|schema| ("PostgreSQL", schema.url().to_owned())));
    let mut sides: Vec<_> =
        databases.iter().map(|(name, database)| Side::start(name, database)).collect();
    // The first round is a warm-up.
    for round in 0..=ROUNDS {
        for place in 0..sides.len() {
            let place = (place + round) % sides.len();
            sides[place].round(round > 0).await;
        }
    }
    report(&sides);
    drop(sides);
    if let Some(schema) = schema {
        schema.drop().await;
    }
}

/// A receiver under load, and the API that it sends to.
struct Side {
    name: &'static str,
    receiver: Process,
    api: Process,
    mails: load::Mails,
    /// Mails per second.
    rates: Vec<f64>,
    /// The receiver's processor time for each mail, in seconds.
    processor: Vec<f64>,
}

impl Side {
    fn start(name: &'static str, database: &str) -> Self {
        let program = env::current_exe().expect("this program");
        let program = program.to_str().expect("a path");
        let api = Process::start_with(program, &[api::NAME]);
        let url = format!("http://{}", api.address());
        let receiver = Process::start_with(program, &[receiver::NAME, database, &url]);
        let mails = load::Mails::default();
        Self { name, receiver, api, mails, rates: Vec::new(), processor: Vec::new() }
    }

    async fn round(&mut self, counts: bool) {
        let requests = self.mails.next(MAILS);
        let already = load::accepted(self.api.address()).await;
        let before = processor_time(self.receiver.id());
        let begun = Instant::now();
        let delivering = load::deliver(self.receiver.address(), requests);
        let accepting = async {
            while load::accepted(self.api.address()).await - already < MAILS {
                // The API does not announce what it accepts.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::join!(delivering, accepting);
        let took = begun.elapsed().as_secs_f64();
        // Nothing is sent twice.
        assert_eq!(load::accepted(self.api.address()).await - already, MAILS);
        if counts {
            self.rates.push(MAILS as f64 / took);
            let processor = processor_time(self.receiver.id()) - before;
            self.processor.push(processor.as_secs_f64() / MAILS as f64);
        }
    }
}

fn report(sides: &[Side]) {
    let columns = ["receiver", "mails", "× floor", "CPU each", "beyond the floor"];
    let mut table = Table::new(columns);
    let floor = &sides[0];
    for side in sides {
        let ratios = side.rates.iter().zip(&floor.rates).map(|(its, floor)| its / floor);
        let ours =
            side.processor.iter().zip(&floor.processor).map(|(its, floor)| 1.0 - floor / its);
        table.row([
            side.name.into(),
            format!("{:.0}/s", median(side.rates.iter().copied())),
            format!("{:.2}", median(ratios)),
            time(Duration::from_secs_f64(median(side.processor.iter().copied()))),
            format!("{:.0} %", 100.0 * median(ours).max(0.0)),
        ]);
    }
    table.print(&format!("reply, {THREADS} threads"));
}
