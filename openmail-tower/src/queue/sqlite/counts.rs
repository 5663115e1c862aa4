//! Stores a guard's counts.

use sqlx::SqliteConnection;

use crate::{
    queue::{
        error::QueueError,
        sql::counts::{Columns, NOTES, PRUNED, add, seen},
    },
    seam::{CountFuture, CountRequest, CountStore, Counted},
};

use super::{
    insert::json,
    store::SqliteStore,
    write::{Answer, Op},
};

/// All processes that use the file share the counts.
impl CountStore for SqliteStore {
    fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a> {
        Box::pin(async {
            match self.ask(Op::Count(request.clone())).await? {
                Answer::Counted(counted) => Ok(counted),
                _ => Err(QueueError::closed().into()),
            }
        })
    }
}

pub(super) async fn count(
    connection: &mut SqliteConnection,
    request: &CountRequest,
    now: i64,
) -> sqlx::Result<Counted> {
    let columns = Columns::of(request);
    let limits = columns.names.iter().zip(&columns.lengths).zip(&columns.ids);
    let limits: Vec<_> = limits.map(|((name, length), id)| (name, length, id)).collect();
    let rows = sqlx::query(seen!(
        "(SELECT key AS number, value ->> 0 AS name, value ->> 1 AS length, value ->> 2 AS id
          FROM json_each($4)) AS limits",
        "(SELECT $5 AS ms) AS clock"
    ))
    .bind(&columns.notes)
    .bind(columns.notes_length)
    .bind(NOTES)
    .bind(json(&limits)?)
    .bind(now)
    .fetch_all(&mut *connection)
    .await?;
    let (counted, new, _) = columns.judge(request, &rows)?;
    if new.names.is_empty() {
        return Ok(counted);
    }
    let new: Vec<_> = new.names.iter().zip(&new.ids).zip(&new.lengths).collect();
    sqlx::query(add!(
        "(SELECT value -> 0 ->> 0 AS name, value -> 0 ->> 1 AS id, value ->> 1 AS length
          FROM json_each($1))",
        "$2"
    ))
    .bind(json(&new)?)
    .bind(now)
    .execute(&mut *connection)
    .await?;
    prune(connection, PRUNED, now).await?;
    Ok(counted)
}

/// Removes up to `limit` counts whose windows are over.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    limit: i64,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM openmail_counts WHERE (name, id) IN (
           SELECT name, id FROM openmail_counts WHERE counts_until <= ?1
           ORDER BY counts_until LIMIT ?2)",
    )
    .bind(now)
    .bind(limit)
    .execute(connection)
    .await
    .map(drop)
}
