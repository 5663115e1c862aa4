//! What only looks.

use std::time::Duration;

use sqlx::{Row, SqlitePool};

use crate::{
    queue::{
        entry::{Counts, DeadLetter, EntryId},
        row::{buried, letter, letter_columns},
    },
    seam::StoredEvent,
};

pub(super) async fn counts(pool: &SqlitePool) -> sqlx::Result<Counts> {
    let row = sqlx::query(
        "WITH now AS (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms)
         SELECT
           count(*) FILTER (WHERE leased = 0 AND held = 0 AND due_at <= ms AND state = 'ready'),
           count(*) FILTER (WHERE leased = 0 AND held = 0 AND (due_at > ms OR state = 'aside')),
           count(*) FILTER (WHERE leased = 1),
           count(*) FILTER (WHERE leased = 0 AND held = 1),
           (SELECT count(*) FROM openmail_events WHERE state = 'blocked'),
           (SELECT count(*) FROM openmail_events WHERE state = 'dead'),
           ms - min(due_at) FILTER (WHERE leased = 0 AND due_at <= ms AND state = 'ready')
         FROM now, openmail_events WHERE state IN ('ready', 'aside')",
    )
    .fetch_one(pool)
    .await?;
    let count = |column: usize| row.try_get(column).map(|count: i64| count.unsigned_abs());
    Ok(Counts {
        ready: count(0)?,
        waiting: count(1)?,
        running: count(2)?,
        held: count(3)?,
        blocked: count(4)?,
        dead: count(5)?,
        oldest: row
            .try_get::<Option<i64>, _>(6)?
            .map(|ms| Duration::from_millis(ms.unsigned_abs())),
        workers: 0,
    })
}

pub(super) async fn dead_letters(
    pool: &SqlitePool,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        letter_columns!(),
        "
         FROM openmail_events WHERE state = 'dead' AND id > ?1 ORDER BY id LIMIT ?2"
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
        letter_columns!(),
        ", signed_at, body
         FROM openmail_events WHERE state = 'dead' AND id = ?1"
    ))
    .bind(id.0)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(buried).transpose()
}
