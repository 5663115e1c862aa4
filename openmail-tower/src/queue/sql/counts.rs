//! The SQL of a guard's counts, for both databases: one statement reads them, one adds to them.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{
    queue::text,
    seam::{CountLimit, CountRequest, Counted},
};

use super::millis;

/// The maximum number of notes (see [`CountRequest::note`]) to read. If there are more, only the
/// latest are read.
pub(in crate::queue) const NOTES: i64 = 256;
/// The maximum number of expired counts that a request removes if it adds counts. It is more than a
/// request adds, so that expired counts do not accumulate.
pub(in crate::queue) const PRUNED: i64 = 16;
/// The maximum number of expired counts removed along with the entries that are
/// [pruned](crate::queue::QueueStore::prune).
pub(in crate::queue) const PAGE: i64 = 1_000;

/// Reads what is counted. `$1` is the name of the notes' key, `$2` their window, and `$3` the
/// maximum number of notes. The limits have the columns `number`, `name`, `length` and `id`, the
/// clock has the column `ms`.
macro_rules! seen {
    ($limits:literal, $clock:literal) => {
        concat!(
            "SELECT number,
               (SELECT counted_at FROM openmail_counts AS mine
                WHERE mine.name = limits.name AND mine.id = limits.id AND counted_at > ms - length),
               (SELECT count(*) FROM openmail_counts AS counted
                WHERE counted.name = limits.name AND counted_at > ms - length),
               (SELECT min(counted_at) FROM openmail_counts AS counted
                WHERE counted.name = limits.name AND counted_at > ms - length),
               CAST(NULL AS TEXT), ms
             FROM ",
            $limits,
            " CROSS JOIN ",
            $clock,
            " UNION ALL
             SELECT * FROM (
               SELECT -1, CAST(NULL AS BIGINT), 0, CAST(NULL AS BIGINT), id, ms
               FROM openmail_counts CROSS JOIN ",
            $clock,
            " WHERE name = $1 AND counted_at > ms - $2
               ORDER BY counted_at DESC LIMIT $3) AS notes
             UNION ALL
             SELECT -1, CAST(NULL AS BIGINT), 0, CAST(NULL AS BIGINT), CAST(NULL AS TEXT), ms FROM ",
            $clock
        )
    };
}

/// Adds counts, except those that exist and have not expired. The counts have the columns `name`,
/// `id` and `length`.
macro_rules! add {
    ($counts:literal, $now:literal) => {
        concat!(
            "INSERT INTO openmail_counts (name, id, counted_at, counts_until)
             SELECT name, id, ",
            $now,
            ", ",
            $now,
            " + length FROM ",
            $counts,
            " WHERE true
             ON CONFLICT (name, id) DO UPDATE
             SET counted_at = excluded.counted_at, counts_until = excluded.counts_until
             WHERE openmail_counts.counts_until <= excluded.counted_at"
        )
    };
}

pub(in crate::queue) use {add, seen};

/// A request, as parameters of the statements.
#[derive(Debug)]
pub(in crate::queue) struct Columns {
    /// The limits under which the id is counted, followed by those that are only checked.
    pub(in crate::queue) names: Vec<String>,
    pub(in crate::queue) lengths: Vec<i64>,
    /// For each limit, the id that is counted or checked under it.
    pub(in crate::queue) ids: Vec<String>,
    pub(in crate::queue) notes: String,
    pub(in crate::queue) notes_length: i64,
}

/// The counts to add.
#[derive(Debug, Default)]
pub(in crate::queue) struct New {
    pub(in crate::queue) names: Vec<String>,
    pub(in crate::queue) ids: Vec<String>,
    pub(in crate::queue) lengths: Vec<i64>,
}

/// What is counted under the key of a limit.
#[derive(Debug, Clone, Copy)]
struct Seen {
    is_counted: bool,
    count: i64,
    oldest: Option<i64>,
}

/// Returns the name under which a key is stored. It hides the key, which may name a sender, and has
/// a fixed length.
pub(in crate::queue) fn name(key: &str) -> String {
    hex::encode(&Sha256::digest(key)[..16])
}

impl Columns {
    pub(in crate::queue) fn of(request: &CountRequest) -> Self {
        let limits = || request.take.iter().chain(&request.check);
        let note = request.note.as_ref();
        let mut ids = vec![name(&request.id); request.take.len()];
        ids.resize(ids.len() + request.check.len(), name(&request.check_id));
        Self {
            names: limits().map(|limit| name(&limit.key)).collect(),
            lengths: limits().map(|limit| millis(limit.window)).collect(),
            ids,
            notes: note.map(|note| name(&note.key)).unwrap_or_default(),
            notes_length: note.map_or(0, |note| millis(note.window)),
        }
    }

    /// Returns the answer, the counts to add, and the database's time.
    pub(in crate::queue) fn judge<'r, R>(
        self,
        request: &CountRequest,
        rows: &'r [R],
    ) -> sqlx::Result<(Counted, New, i64)>
    where
        R: Row,
        usize: ColumnIndex<R>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
        String: Decode<'r, R::Database> + Type<R::Database>,
    {
        let none = Seen { is_counted: false, count: 0, oldest: None };
        let mut seen = vec![none; self.names.len()];
        let (mut counted, mut now) = (Counted::default(), 0);
        for row in rows {
            now = row.try_get(5)?;
            match usize::try_from(row.try_get::<i64, _>(0)?) {
                Ok(number) if number < seen.len() => {
                    let is_counted = row.try_get::<Option<i64>, _>(1)?.is_some();
                    seen[number] =
                        Seen { is_counted, count: row.try_get(2)?, oldest: row.try_get(3)? };
                }
                _ => counted.notes.extend(row.try_get::<Option<String>, _>(4)?),
            }
        }
        let (taken, checked) = seen.split_at(request.take.len());
        let mut taken = request.take.iter().zip(taken).enumerate();
        counted.full = taken.find_map(|(at, (limit, seen))| Some((at, seen.full(limit, now)?)));
        let mut checked = request.check.iter().zip(checked);
        counted.over = checked.position(|(limit, seen)| seen.full(limit, now).is_some());
        if counted.full.is_some() {
            counted.notes.clear();
            return Ok((counted, New::default(), now));
        }
        let Self { mut names, mut ids, mut lengths, notes, notes_length } = self;
        names.truncate(request.take.len());
        ids.truncate(request.take.len());
        lengths.truncate(request.take.len());
        let mut new = New { names, ids, lengths };
        if let Some(note) = &request.note {
            new.names.push(notes);
            new.ids.push(text::column(&note.text));
            new.lengths.push(notes_length);
        }
        Ok((counted, new, now))
    }
}

impl Seen {
    /// Returns the time until a limit has room; `None` if it has room now, or if the id is already
    /// counted under it.
    fn full(self, limit: &CountLimit, now: i64) -> Option<Duration> {
        if self.is_counted || self.count < i64::from(limit.most) {
            return None;
        }
        let passed = now.saturating_sub(self.oldest.unwrap_or(now));
        let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        Some(limit.window.saturating_sub(passed))
    }
}
