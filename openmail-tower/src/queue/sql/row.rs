//! Reads entries from the rows of either database. Columns are found by their position.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{event::InboxId, seam::StoredEvent};

use crate::queue::{
    entry::{Counts, DeadLetter, EntryId, Role},
    lease::{Claimed, DeadReport, Lease},
};

/// The columns of [`claimed`], to be followed by the store's time.
macro_rules! claimed_columns {
    ($table:literal) => {
        concat!(
            $table,
            "id, ",
            $table,
            "token, lane, role, attempts, losses, held, releases, released_at,
         queued_at, dedupe_key, event_id, kind, inbox_id, thread_id, trace_context, weight,
         signed_at, body, put_off_at"
        )
    };
}

/// The columns of [`letter`]. `$ahead` is how far the store's clock is ahead of the machine's; it
/// is subtracted from the times.
macro_rules! letter_columns {
    ($ahead:literal) => {
        concat!(
            "id, kind, attempts, last_error, queued_at - ",
            $ahead,
            ", ended_at - ",
            $ahead,
            ", event_id, inbox_id, thread_id, role"
        )
    };
}

pub(in crate::queue) use {claimed_columns, letter_columns};

pub(in crate::queue) fn claimed<'r, R>(row: &'r R) -> sqlx::Result<Claimed>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let lease = Lease::new(EntryId(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?);
    let raw_body: Vec<u8> = row.try_get(18)?;
    let timestamp = unsigned(row.try_get(17)?);
    let inbox_id = row.try_get::<Option<String>, _>(13)?.map(InboxId::from);
    let stored = StoredEvent { raw_body: raw_body.into(), timestamp, inbox_id };
    let mut claimed = Claimed::new(lease, row.try_get(12)?, stored);
    let losses: i64 = row.try_get(5)?;
    let now: i64 = row.try_get(20)?;
    let since = |time: i64| Duration::from_millis(unsigned(now.saturating_sub(time)));
    claimed.role = role(row.try_get(3)?);
    claimed.attempt = small(row.try_get(4)?);
    (claimed.suspect, claimed.was_lost) = (losses >= 2, losses >= 3);
    claimed.was_held = row.try_get::<i64, _>(6)? == 1;
    claimed.releases = small(row.try_get(7)?);
    claimed.released_for = row.try_get::<Option<i64>, _>(8)?.map(since).unwrap_or_default();
    claimed.put_off_for = row.try_get::<Option<i64>, _>(19)?.map(since).unwrap_or_default();
    claimed.age = since(row.try_get(9)?);
    claimed.key = row.try_get(10)?;
    claimed.event_id = row.try_get(11)?;
    claimed.inbox_id = row.try_get(13)?;
    claimed.thread_id = row.try_get(14)?;
    claimed.trace_context = row.try_get(15)?;
    claimed.weight = unsigned(row.try_get(16)?);
    Ok(claimed)
}

/// Reads the columns `id` and `token`.
pub(in crate::queue) fn lease<'r, R>(row: &'r R) -> sqlx::Result<Lease>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(Lease::new(EntryId(row.try_get(0)?), row.try_get(1)?, None))
}

pub(in crate::queue) fn letter<'r, R>(row: &'r R) -> sqlx::Result<DeadLetter>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let error: Option<String> = row.try_get(3)?;
    let queued_at = time(row.try_get(4)?);
    let buried_at = time(row.try_get::<Option<i64>, _>(5)?.unwrap_or(0));
    let (id, attempts) = (EntryId(row.try_get(0)?), small(row.try_get(2)?));
    let mut letter = DeadLetter::new(
        id,
        row.try_get(1)?,
        attempts,
        error.unwrap_or_default(),
        queued_at,
        buried_at,
    );
    letter.event_id = row.try_get(6)?;
    letter.inbox_id = row.try_get(7)?;
    letter.thread_id = row.try_get(8)?;
    letter.role = role(row.try_get(9)?);
    Ok(letter)
}

/// Reads the columns of [`letter`], then `signed_at` and `body`.
pub(in crate::queue) fn buried<'r, R>(row: &'r R) -> sqlx::Result<(DeadLetter, StoredEvent)>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let timestamp = unsigned(row.try_get(10)?);
    let raw_body = row.try_get::<Vec<u8>, _>(11)?.into();
    let letter = letter(row)?;
    let inbox_id = letter.inbox_id.as_deref().map(InboxId::from);
    Ok((letter, StoredEvent { raw_body, timestamp, inbox_id }))
}

/// Reads the columns of [`letter`], then `token`.
pub(in crate::queue) fn report<'r, R>(row: &'r R) -> sqlx::Result<DeadReport>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let letter = letter(row)?;
    Ok(DeadReport::new(Lease::new(letter.id, row.try_get(10)?, None), letter))
}

/// Reads these columns, and leaves `workers` at 0:
///
/// - 0 to 2: the number of entries that are due, that wait until they are due, and that are leased
/// - 3 and 4: how many of the due and of the waiting entries are on hold
/// - 5 and 6: the number of blocked entries and of dead letters
/// - 7: how long the oldest due entry has been due, in milliseconds
pub(in crate::queue) fn counts<'r, R>(row: &'r R) -> sqlx::Result<Counts>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let count = |column: usize| row.try_get(column).map(|count: i64| count.unsigned_abs());
    let (held_due, held_waiting) = (count(3)?, count(4)?);
    let oldest: Option<i64> = row.try_get(7)?;
    Ok(Counts {
        ready: count(0)?.saturating_sub(held_due),
        waiting: count(1)?.saturating_sub(held_waiting),
        running: count(2)?,
        held: held_due + held_waiting,
        blocked: count(5)?,
        dead: count(6)?,
        oldest: oldest.map(|millis| Duration::from_millis(millis.unsigned_abs())),
        workers: 0,
    })
}

fn role(role: i64) -> Role {
    if role == 0 { Role::Reply } else { Role::Event }
}

fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(unsigned(millis));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
