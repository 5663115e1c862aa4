//! Lanes across processes.
//!
//! Whether an event of a lane is ready or blocked depends on the others of the lane, and who changes
//! two of a lane at the same time would each see the other's as it was. So whoever adds to a lane,
//! or frees one, holds its lock until he has committed. A lock is one of a fixed number, by the
//! hash of the lane, so that the server never has many; they are taken in order, so that nobody
//! waits for each other. The unique index on the ready one of each lane is the last word.

use sqlx::PgConnection;

use super::open::LOCKS;

const STRIPES: u64 = 1024;

/// Locks lanes, or keys, until the end of the transaction. The statements that follow see what
/// former holders have committed.
pub(super) async fn lock(connection: &mut PgConnection, names: &[&str]) -> sqlx::Result<()> {
    let mut stripes: Vec<i64> = names.iter().map(|name| stripe(name)).collect();
    if stripes.is_empty() {
        return Ok(());
    }
    stripes.sort_unstable();
    stripes.dedup();
    sqlx::query("SELECT pg_advisory_xact_lock(stripe) FROM unnest($1::bigint[]) AS stripe")
        .bind(stripes)
        .execute(connection)
        .await?;
    Ok(())
}

/// The same in every process and every version of the standard library: it is FNV-1a.
fn stripe(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    LOCKS.wrapping_add(1).wrapping_add_unsigned(hash % STRIPES)
}

/// Has the next event of each of these lanes take its turn, if no other has it. They are locked.
pub(super) async fn promote(connection: &mut PgConnection, lanes: &[&str]) -> sqlx::Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    sqlx::query(
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
    Ok(())
}
