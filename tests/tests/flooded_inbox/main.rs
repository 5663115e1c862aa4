//! One inbox with 15,000 mails, whose agent hangs, refuses or is slow.
//!
//! Mails of other inboxes start at once. How long that takes depends on the machine, so this counts
//! the runs that overtake them; `cargo bench -p openmail-tests --bench flooded_inbox` asserts that
//! they start within 1 s.
#![cfg(target_os = "linux")]

mod flood;

use flood::{on_postgres, on_sqlite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_starts_mails_of_other_inboxes_at_once() {
    on_sqlite(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn postgres_starts_mails_of_other_inboxes_at_once() {
    on_postgres(None).await;
}
