//! Measures how long mails of other inboxes wait beside an inbox with 15,000 mails, whose agent
//! hangs, refuses or is slow. Fails if one of them takes over 1 s to start.
//!
//! `cargo bench -p openmail-tests --bench flooded_inbox`. PostgreSQL is measured if
//! `OPENMAIL_TEST_POSTGRES` is set to its URL. Needs Linux, which reports the memory of a process.

use std::{env, time::Duration};

#[path = "../tests/flooded_inbox/flood.rs"]
mod flood;

use flood::{on_postgres, on_sqlite};

/// Maximum time for a mail of another inbox to start.
const PROMPT: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("SQLite");
    on_sqlite(Some(PROMPT)).await;
    if env::var_os("OPENMAIL_TEST_POSTGRES").is_some() {
        println!("PostgreSQL");
        on_postgres(Some(PROMPT)).await;
    }
}
