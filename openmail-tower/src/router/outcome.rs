//! What became of an event, told from the next delivery's point of view.

use super::error::{BoxError, HandlerError};

/// An event that need not be delivered again. The other case is a [`HandlerError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A handler has done its work, or a queue has taken the event over.
    Done,
    /// Its work was done before: this delivery is a duplicate.
    Duplicate,
    /// No handler asks for it.
    Unrouted,
}

/// What a handler may return: nothing, an [`Outcome`], or a `Result` of either with any error.
///
/// An error means "try again", unless it is a [`HandlerError`] that says otherwise.
#[diagnostic::on_unimplemented(
    message = "an event handler cannot return `{Self}`",
    note = "it returns `()`, `Outcome`, or `Result<(), E>` with any error `E`"
)]
pub trait IntoOutcome {
    /// Reads the handler's answer.
    ///
    /// # Errors
    /// When the handler failed.
    fn into_outcome(self) -> Result<Outcome, HandlerError>;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        Ok(self)
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        Ok(Outcome::Done)
    }
}

impl<T: IntoOutcome, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => Err(HandlerError::from_boxed(error.into())),
        }
    }
}
