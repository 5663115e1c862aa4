//! Dead letters as the rows of either database hold them: by the order of their columns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::seam::StoredEvent;

use super::entry::{DeadLetter, EntryId};

/// id, kind, attempts, last_error, queued_at, ended_at, event_id, inbox_id, thread_id
pub(super) fn letter<'r, R>(row: &'r R) -> sqlx::Result<DeadLetter>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
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

/// As [`letter`], and behind it signed_at, body
pub(super) fn buried<'r, R>(row: &'r R) -> sqlx::Result<(DeadLetter, StoredEvent)>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let timestamp = u64::try_from(row.try_get::<i64, _>(9)?).unwrap_or(0);
    let raw_body = row.try_get::<Vec<u8>, _>(10)?.into();
    Ok((letter(row)?, StoredEvent { raw_body, timestamp }))
}

fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
