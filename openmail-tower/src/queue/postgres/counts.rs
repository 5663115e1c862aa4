//! Stores a guard's counts.

use sqlx::PgConnection;

use crate::{
    queue::sql::counts::{Columns, NOTES, PRUNED, add, seen},
    seam::{CountFuture, CountRequest, CountStore, Counted},
};

use super::{
    database::{Database, PATIENCE, in_time},
    lanes::lock,
    store::PostgresStore,
};

/// All processes that use the database share the counts.
impl CountStore for PostgresStore {
    fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a> {
        Box::pin(async { Ok(in_time(PATIENCE, count(&self.database, request)).await?) })
    }
}

/// Two transactions that count under one key at the same time would not see each other's counts, so
/// each holds the key's lock until it has committed.
async fn count(database: &Database, request: &CountRequest) -> sqlx::Result<Counted> {
    let facts = database.facts().await?;
    let columns = Columns::of(request);
    let names = columns.names.iter().chain([&columns.notes]).map(String::as_str);
    let names = names.filter(|name| !name.is_empty());
    let mut work = database.begin(&lock(names)).await?;
    let rows = sqlx::query(seen!(
        "(SELECT number - 1 AS number, name, length, id
            FROM unnest($4::text[], $5::bigint[], $6::text[])
            WITH ORDINALITY AS given (name, length, id, number)) AS limits",
        "(SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS ms) AS clock"
    ))
    .bind(&columns.notes)
    .bind(columns.notes_length)
    .bind(NOTES)
    .bind(&columns.names)
    .bind(&columns.lengths)
    .bind(&columns.ids)
    .fetch_all(&mut *work)
    .await?;
    let (counted, new, now) = columns.judge(request, &rows)?;
    if !new.names.is_empty() {
        let ids: Vec<String> = new.ids.iter().map(|id| facts.column(id)).collect();
        sqlx::query(add!(
            "unnest($1::text[], $2::text[], $3::bigint[]) AS new (name, id, length)",
            "$4::bigint"
        ))
        .bind(new.names)
        .bind(ids)
        .bind(new.lengths)
        .bind(now)
        .execute(&mut *work)
        .await?;
        prune(&mut work, PRUNED).await?;
    }
    work.commit().await?;
    Ok(counted)
}

/// Removes up to `limit` counts whose windows are over. It skips locked ones, so that it never
/// waits for another transaction.
pub(super) async fn prune(connection: &mut PgConnection, limit: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM openmail_counts WHERE (name, id) IN (
           SELECT name, id FROM openmail_counts
           WHERE counts_until <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
           ORDER BY counts_until LIMIT $1 FOR UPDATE SKIP LOCKED)",
    )
    .bind(limit)
    .execute(connection)
    .await
    .map(drop)
}
