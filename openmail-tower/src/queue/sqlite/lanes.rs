//! The order of entries in lanes.

use sqlx::{Row, SqliteConnection};

use super::insert::json;

/// Maximum number of lanes examined in one transaction, during which no event can be acknowledged.
pub(super) const PAGE: i64 = 256;

/// Makes the next entry of each of these lanes ready, unless another entry of the lane is ready,
/// held or leased. Returns the number of entries made ready.
pub(super) async fn promote(
    connection: &mut SqliteConnection,
    lanes: &[&str],
) -> sqlx::Result<u64> {
    if lanes.is_empty() {
        return Ok(0);
    }
    let promoted = sqlx::query(
        "UPDATE openmail_events SET state = 'ready' WHERE id IN (
           SELECT (SELECT id FROM openmail_events INDEXED BY openmail_events_blocked
                   WHERE lane = free.value AND state = 'blocked' ORDER BY role, id LIMIT 1)
           FROM (SELECT DISTINCT value FROM json_each(?1)) AS free
           WHERE NOT EXISTS (
             SELECT 1 FROM openmail_events WHERE lane = free.value AND state = 'ready'))",
    )
    .bind(json(&lanes)?)
    .execute(connection)
    .await?;
    Ok(promoted.rows_affected())
}

/// Puts entries that stepped aside back into their lanes once they are due, a page at a time.
pub(super) async fn back_into_lanes(
    connection: &mut SqliteConnection,
    now: i64,
) -> sqlx::Result<()> {
    let rows = sqlx::query(
        "UPDATE openmail_events SET state = 'blocked' WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_aside
           WHERE state = 'aside' AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
         RETURNING lane",
    )
    .bind(now)
    .bind(PAGE)
    .fetch_all(&mut *connection)
    .await?;
    let lanes = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<&str>>>()?;
    promote(connection, &lanes).await.map(drop)
}

/// Finds lanes after `lane` whose entries are all blocked, and resumes them. Returns the last lane
/// examined, if there are more, and the number of stalled lanes.
///
/// There should be none. If there is one after all, its mail must not wait forever.
pub(super) async fn sweep(
    connection: &mut SqliteConnection,
    lane: &str,
) -> sqlx::Result<(Option<String>, u64)> {
    let rows = sqlx::query(
        "WITH RECURSIVE lanes (lane, number) AS (
           SELECT (SELECT min(lane) FROM openmail_events WHERE state = 'blocked' AND lane > ?1), 1
           UNION ALL
           SELECT (SELECT min(lane) FROM openmail_events
                   WHERE state = 'blocked' AND lane > lanes.lane), number + 1
           FROM lanes WHERE lanes.lane IS NOT NULL AND number < ?2)
         SELECT lane FROM lanes WHERE lane IS NOT NULL",
    )
    .bind(lane)
    .bind(PAGE)
    .fetch_all(&mut *connection)
    .await?;
    let lanes = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<&str>>>()?;
    let promoted = promote(connection, &lanes).await?;
    let more = i64::try_from(lanes.len()).is_ok_and(|count| count >= PAGE);
    Ok((lanes.last().filter(|_| more).map(|lane| (*lane).to_owned()), promoted))
}
