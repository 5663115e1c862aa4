//! Creates rows of finished events, as a queue has after a while.

use std::path::Path;

use sqlx::{PgPool, SqlitePool};

pub(crate) async fn in_sqlite(path: &Path, count: u32) {
    let pool = SqlitePool::connect(&format!("sqlite:{}", path.display())).await;
    let pool = pool.expect("the database");
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO openmail_events (dedupe_key, lane, kind, state, due_at, queued_at,
           ended_at, signed_at, weight, body)
         SELECT 'event:' || hex(randomblob(16)), 'thread:' || i, 'message.received', 'done', i,
           i, unixepoch() * 1000, i, 2000, zeroblob(0) FROM n WHERE ?1 > 0",
    )
    .bind(count)
    .execute(&pool)
    .await
    .expect("room on the disk");
    pool.close().await;
}

pub(crate) async fn in_postgres(pool: &PgPool, count: u32) {
    sqlx::query(
        "INSERT INTO openmail_events (dedupe_key, lane, kind, state, due_at, queued_at,
           ended_at, signed_at, weight, body)
         SELECT 'event:' || md5(i::text), 'thread:' || i, 'message.received', 'done', i, i,
           (extract(epoch FROM statement_timestamp()) * 1000)::bigint, i, 2000, ''
         FROM generate_series(1, $1) AS i",
    )
    .bind(i64::from(count))
    .execute(pool)
    .await
    .expect("room on the disk");
}
