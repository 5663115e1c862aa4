//! What only looks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use crate::{
    queue::entry::{Counts, DeadLetter, EntryId},
    verified::StoredEvent,
};

pub(super) async fn counts(pool: &SqlitePool) -> sqlx::Result<Counts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM openmail_events WHERE state = 'ready' AND leased = 0)
              + (SELECT count(*) FROM openmail_events WHERE state = 'aside'),
                (SELECT count(*) FROM openmail_events WHERE state = 'ready' AND leased = 1),
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
    let read = |row: &SqliteRow| {
        let timestamp = u64::try_from(row.try_get::<i64, _>(9)?).unwrap_or(0);
        let raw_body = row.try_get::<Vec<u8>, _>(10)?.into();
        Ok((letter(row)?, StoredEvent { raw_body, timestamp }))
    };
    row.as_ref().map(read).transpose()
}

fn letter(row: &SqliteRow) -> sqlx::Result<DeadLetter> {
    let attempts = u32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(u32::MAX);
    let error: Option<String> = row.try_get(3)?;
    let times = [time(row.try_get(4)?), time(row.try_get::<Option<i64>, _>(5)?.unwrap_or(0))];
    let id = EntryId(row.try_get(0)?);
    let mut letter =
        DeadLetter::new(id, row.try_get(1)?, attempts, error.unwrap_or_default(), times);
    letter.event_id = row.try_get(6)?;
    letter.inbox_id = row.try_get(7)?;
    letter.thread_id = row.try_get(8)?;
    Ok(letter)
}

fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
