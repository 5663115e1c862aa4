//! Finds the migrations that a database still needs.

use crate::queue::error::{QueueError, QueueErrorKind};

/// Returns the migrations that follow `version`, each with the version that it leads to. Versions
/// start with 1; released migrations never change.
pub(in crate::queue) fn pending(
    version: i64,
    migrations: &'static [&'static str],
) -> Result<impl Iterator<Item = (i64, &'static str)>, QueueError> {
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > migrations.len() {
        let text = format!("the tables have version {version}, which this program does not know");
        return Err(QueueError::new(QueueErrorKind::Newer, text));
    }
    Ok((1..).zip(migrations.iter().copied()).skip(applied))
}

/// Checks that no migration is pending.
pub(in crate::queue) fn check(
    version: i64,
    migrations: &'static [&'static str],
) -> Result<(), QueueError> {
    match pending(version, migrations)?.count() {
        0 => Ok(()),
        _ => {
            let text = format!("the tables have version {version}, not {}", migrations.len());
            Err(QueueError::new(QueueErrorKind::Unmigrated, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[&str] = &["a", "b"];

    #[test]
    fn applies_only_pending_migrations() {
        let left = |version| pending(version, TWO).unwrap().collect::<Vec<_>>();
        assert_eq!(left(0), [(1, "a"), (2, "b")]);
        assert_eq!(left(1), [(2, "b")]);
        assert_eq!(left(2), []);
        assert_eq!(pending(3, TWO).err().unwrap().kind(), QueueErrorKind::Newer);
    }

    #[test]
    fn older_version_is_refused_without_migrating() {
        assert_eq!(check(1, TWO).unwrap_err().kind(), QueueErrorKind::Unmigrated);
        check(2, TWO).unwrap();
    }
}
