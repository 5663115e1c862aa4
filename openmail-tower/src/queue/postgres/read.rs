//! Read-only queries.

use crate::{
    queue::{
        entry::{Counts, DeadLetter, EntryId},
        sql::row::{self, buried, letter, letter_columns},
    },
    seam::StoredEvent,
};

use super::{database::Database, presence};

/// Counts the entries. Each state has its own index.
pub(super) async fn counts(database: &Database) -> sqlx::Result<Counts> {
    let mut work = database.begin("").await?;
    let row = sqlx::query(
        "WITH now AS (SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS ms)
         SELECT
           count(*) FILTER (WHERE leased = 0 AND due_at <= ms),
           count(*) FILTER (WHERE leased = 0 AND due_at > ms)
             + (SELECT count(*) FROM openmail_events WHERE state = 'aside'),
           count(*) FILTER (WHERE leased = 1),
           (SELECT count(*) FROM openmail_events, now
            WHERE held = 1 AND leased = 0 AND due_at <= ms),
           (SELECT count(*) FROM openmail_events, now
            WHERE held = 1 AND leased = 0 AND due_at > ms),
           (SELECT count(*) FROM openmail_events WHERE state = 'blocked'),
           (SELECT count(*) FROM openmail_events WHERE state = 'dead'),
           max(ms) - min(due_at) FILTER (WHERE leased = 0 AND due_at <= ms)
         FROM now, openmail_events WHERE state = 'ready' AND due_at >= 0",
    )
    .fetch_one(&mut *work)
    .await?;
    let workers = presence::alive(&mut work).await?;
    work.commit().await?;
    Ok(Counts { workers, ..row::counts(&row)? })
}

pub(super) async fn dead_letters(
    database: &Database,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let mut work = database.begin("").await?;
    let rows = sqlx::query(concat!(
        "SELECT ",
        letter_columns!("0"),
        " FROM openmail_events WHERE state = 'dead' AND id > $1 ORDER BY id LIMIT $2"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    rows.iter().map(letter).collect()
}

pub(super) async fn dead_letter(
    database: &Database,
    id: EntryId,
) -> sqlx::Result<Option<(DeadLetter, StoredEvent)>> {
    let mut work = database.begin("").await?;
    let row = sqlx::query(concat!(
        "SELECT ",
        letter_columns!("0"),
        ", signed_at, body FROM openmail_events WHERE state = 'dead' AND id = $1"
    ))
    .bind(id.0)
    .fetch_optional(&mut *work)
    .await?;
    work.commit().await?;
    row.as_ref().map(buried).transpose()
}
