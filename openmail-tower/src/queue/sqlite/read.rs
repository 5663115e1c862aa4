//! Read-only queries.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::SqlitePool;

use crate::{
    queue::{
        entry::{Counts, DeadLetter, EntryId},
        sql::{
            millis,
            row::{self, buried, letter, letter_columns},
        },
    },
    seam::StoredEvent,
};

/// Counts the entries. Each state has its own index.
pub(super) async fn counts(pool: &SqlitePool) -> sqlx::Result<Counts> {
    let row = sqlx::query(
        "WITH now AS (SELECT ahead + ?1 AS ms FROM openmail_clock)
         SELECT
           count(*) FILTER (WHERE leased = 0 AND due_at <= ms),
           count(*) FILTER (WHERE leased = 0 AND due_at > ms)
             + (SELECT count(*) FROM openmail_events WHERE state = 'aside'),
           count(*) FILTER (WHERE leased = 1),
           (SELECT count(*) FROM openmail_events WHERE held = 1 AND leased = 0 AND due_at <= ms),
           (SELECT count(*) FROM openmail_events WHERE held = 1 AND leased = 0 AND due_at > ms),
           (SELECT count(*) FROM openmail_events WHERE state = 'blocked'),
           (SELECT count(*) FROM openmail_events WHERE state = 'dead'),
           ms - min(due_at) FILTER (WHERE leased = 0 AND due_at <= ms)
         FROM now, openmail_events INDEXED BY openmail_events_due WHERE state = 'ready'",
    )
    .bind(wall())
    .fetch_one(pool)
    .await?;
    row::counts(&row)
}

/// Returns the machine's time. The store's is ahead of it by the offset in the file.
fn wall() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) async fn dead_letters(
    pool: &SqlitePool,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        letter_columns!("ahead"),
        " FROM openmail_events, openmail_clock
         WHERE state = 'dead' AND id > ?1 ORDER BY id LIMIT ?2"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(letter).collect()
}

pub(super) async fn dead_letter(
    pool: &SqlitePool,
    id: EntryId,
) -> sqlx::Result<Option<(DeadLetter, StoredEvent)>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        letter_columns!("ahead"),
        ", signed_at, body FROM openmail_events, openmail_clock WHERE +state = 'dead' AND id = ?1"
    ))
    .bind(id.0)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(buried).transpose()
}
