//! [`Cause`].

use std::{error::Error, fmt};

/// Shows the error of a failed connection without repetition. The text of sqlx's error already
/// contains the text of its source, so that source is left out. An error of the server is shown as
/// its message and code, without the line number of the server's source code.
#[derive(Debug)]
pub(super) struct Cause(pub(super) sqlx::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let Some(answer) = error.as_database_error() else { return fmt::Display::fmt(error, f) };
        f.write_str(answer.message())?;
        match answer.code() {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn source_is_shown_once() {
        let cause = Cause(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(cause.to_string(), "error communicating with database: connection refused");
        assert!(cause.source().is_none());
    }
}
