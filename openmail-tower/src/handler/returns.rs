//! [`IntoOutcome`]: what a handler may return.

use crate::seam::{BoxError, HandlerError, Outcome};

/// A type that a handler may return: nothing, an [`Outcome`], a `Reply` (feature `api`; also in an
/// `Option` or a `Vec`), or a `Result` of these with any error that is [`Send`] and [`Sync`].
///
/// After an error, the event is retried, unless the error or one of its sources is a
/// [`HandlerError`] or an [`ApiError`](crate::api::ApiError) that says otherwise.
///
/// ```
/// use openmail_tower::{HandlerErrorKind, IntoOutcome, Outcome};
///
/// assert_eq!(().into_outcome().unwrap(), Outcome::Done);
/// assert_eq!(Ok::<_, std::io::Error>(()).into_outcome().unwrap(), Outcome::Done);
///
/// let error = Err::<(), _>("the model is away").into_outcome().unwrap_err();
/// assert_eq!(error.kind(), HandlerErrorKind::Failed); // retried
/// ```
#[diagnostic::on_unimplemented(
    message = "an event handler cannot return `{Self}`",
    note = "it can return `()`, `Outcome`, `Reply` (also in an `Option` or a `Vec`), or a `Result` of these with any error"
)]
pub trait IntoOutcome {
    /// Converts the returned value.
    ///
    /// # Errors
    /// If the handler failed.
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
