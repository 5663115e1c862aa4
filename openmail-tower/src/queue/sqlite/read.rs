//! What only looks.

use sqlx::{Row, SqlitePool};

use crate::{
    queue::{
        entry::{Counts, DeadLetter, EntryId},
        row::{buried, letter},
    },
    seam::StoredEvent,
};

pub(super) async fn counts(pool: &SqlitePool) -> sqlx::Result<Counts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM openmail_events WHERE state = 'ready' AND leased = 0)
              + (SELECT count(*) FROM openmail_events WHERE state = 'aside'),
                (SELECT count(*) FROM openmail_events WHERE state = 'ready' AND leased > 0),
                (SELECT count(*) FROM openmail_events WHERE state = 'blocked'),
                (SELECT count(*) FROM openmail_events WHERE state = 'dead')",
    )
    .fetch_one(pool)
    .await?;
    let count = |column: usize| row.try_get(column).map(|count: i64| count.unsigned_abs());
    let (ready, running, blocked, dead) = (count(0)?, count(1)?, count(2)?, count(3)?);
    Ok(Counts { ready, running, blocked, dead })
}

pub(super) async fn dead_letters(
    pool: &SqlitePool,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query(
        "SELECT id, kind, attempts, last_error, queued_at, ended_at, event_id, inbox_id, thread_id
         FROM openmail_events WHERE state = 'dead' AND id > ?1 ORDER BY id LIMIT ?2",
    )
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
    let row = sqlx::query(
        "SELECT id, kind, attempts, last_error, queued_at, ended_at, event_id, inbox_id, thread_id,
                signed_at, body
         FROM openmail_events WHERE state = 'dead' AND id = ?1",
    )
    .bind(id.0)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(buried).transpose()
}
