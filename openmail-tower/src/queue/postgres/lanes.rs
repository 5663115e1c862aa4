//! Lanes across processes.
//!
//! Whether an entry is ready or blocked depends on the other entries of its lane, and two
//! concurrent transactions do not see each other's changes. So every transaction that adds to a
//! lane, or frees one, holds the lane's lock until it is committed. A lane's hash selects one of
//! 4,096 locks: so many that concurrent transactions rarely need the same one, and fewer than the
//! 6,400 for which the server has room by default. A transaction takes its locks in order, so that
//! no two transactions wait for each other. As a last resort, a unique index allows only one ready
//! entry in each lane.

use std::fmt::Write;

use sqlx::{PgConnection, Row};

use super::open::LOCKS;

const STRIPES: u64 = 4096;

/// Maximum number of lanes examined in one transaction.
pub(super) const PAGE: i64 = 256;

/// Returns the statement that locks lanes, or keys, until the end of the transaction. Later
/// statements see what former holders have committed.
pub(super) fn lock<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut stripes: Vec<i64> = names.into_iter().map(stripe).collect();
    if stripes.is_empty() {
        return String::new();
    }
    stripes.sort_unstable();
    stripes.dedup();
    let mut statement = String::from("SELECT pg_advisory_xact_lock(stripe) FROM unnest('{");
    for (number, stripe) in stripes.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(statement, "{comma}{stripe}");
    }
    statement.push_str("}'::bigint[]) AS stripe;");
    statement
}

/// Returns the lock of a name, by its FNV-1a hash, which is the same in every process and in every
/// version of the standard library.
fn stripe(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    LOCKS.wrapping_add(1).wrapping_add_unsigned(hash % STRIPES)
}

/// Makes the next entry of each of these lanes ready, unless another entry of the lane is ready,
/// held or leased. The lanes must be locked. Returns the number of entries made ready.
pub(super) async fn promote(connection: &mut PgConnection, lanes: &[&str]) -> sqlx::Result<u64> {
    if lanes.is_empty() {
        return Ok(0);
    }
    let promoted = sqlx::query(
        "UPDATE openmail_events SET state = 'ready' WHERE id IN (
           SELECT next.id
           FROM (SELECT DISTINCT lane FROM unnest($1::text[]) AS lane) AS free
           CROSS JOIN LATERAL (
             SELECT id FROM openmail_events
             WHERE lane = free.lane AND state = 'blocked' ORDER BY role, id LIMIT 1) AS next
           WHERE NOT EXISTS (
             SELECT 1 FROM openmail_events WHERE lane = free.lane AND state = 'ready'))",
    )
    .bind(lanes)
    .execute(connection)
    .await?;
    Ok(promoted.rows_affected())
}

/// Finds lanes after `lane` whose entries are all blocked. Returns them and, if there are more
/// lanes, the last one examined.
pub(super) async fn standstills(
    connection: &mut PgConnection,
    lane: &str,
) -> sqlx::Result<(Vec<String>, Option<String>)> {
    let rows = sqlx::query(
        "WITH RECURSIVE lanes (lane, number) AS (
           (SELECT min(lane), 1 FROM openmail_events WHERE state = 'blocked' AND lane > $1)
           UNION ALL
           SELECT (SELECT min(lane) FROM openmail_events
                   WHERE state = 'blocked' AND lane > lanes.lane), number + 1
           FROM lanes WHERE lanes.lane IS NOT NULL AND number < $2)
         SELECT lane, NOT EXISTS (
           SELECT 1 FROM openmail_events AS first
           WHERE first.lane = lanes.lane AND first.state = 'ready')
         FROM lanes WHERE lane IS NOT NULL ORDER BY number",
    )
    .bind(lane)
    .bind(PAGE)
    .fetch_all(connection)
    .await?;
    let mut free = Vec::new();
    for row in &rows {
        if row.try_get(1)? {
            free.push(row.try_get(0)?);
        }
    }
    let more = i64::try_from(rows.len()).is_ok_and(|count| count >= PAGE);
    let last = rows.last().filter(|_| more).map(|row| row.try_get(0)).transpose()?;
    Ok((free, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_order_and_once() {
        assert_eq!(lock([]), "");
        assert_eq!(lock(["a", "b", "a"]), lock(["b", "a"]));
        assert_ne!(lock(["a"]), lock(["b"]));
    }
}
