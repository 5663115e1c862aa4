//! Why an event was not handled, and what its next delivery should do about it.

use std::{error::Error, fmt, time::Duration};

#[cfg(feature = "api")]
use super::advice::Advice;

/// Any error, as tower has it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A failed run of a handler.
///
/// Made from any error by `?`: the event is then tried again. [`permanent`](Self::permanent) says
/// that trying again is of no use, [`retry_after`](Self::retry_after) when to. Like the error types
/// that hold any error, it is none itself; `Into<BoxError>` gives one.
///
/// ```
/// use openmail_tower::{HandlerError, HandlerErrorKind};
///
/// fn answer(text: &str) -> Result<(), HandlerError> {
///     let number: u32 = text.parse()?; // tried again
///     match number {
///         0 => Err(HandlerError::permanent("there is no order 0")),
///         _ => Ok(()),
///     }
/// }
/// assert_eq!(answer("x").unwrap_err().kind(), HandlerErrorKind::Failed);
/// assert_eq!(answer("0").unwrap_err().kind(), HandlerErrorKind::Permanent);
/// ```
pub struct HandlerError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: HandlerErrorKind,
    retry_after: Option<Duration>,
    source: BoxError,
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerErrorKind {
    /// The handler failed: try again.
    Failed,
    /// The handler failed and would fail again.
    Permanent,
    /// The handler panicked: try again.
    Panicked,
    /// Another run of the same event is under way: come back later.
    InFlight,
    /// What stands before the handler (a store, a queue, a lookup) cannot be reached: nothing was
    /// run, come back later.
    Unavailable,
}

impl HandlerError {
    fn new(kind: HandlerErrorKind, source: BoxError) -> Self {
        Self(Box::new(Inner { kind, retry_after: None, source }))
    }

    /// A failure after which to try again.
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Failed, error.into())
    }

    /// A failure after which to try again, but not before `delay` has passed.
    pub fn retry_after(delay: Duration, error: impl Into<BoxError>) -> Self {
        let mut this = Self::failed(error);
        this.0.retry_after = Some(delay);
        this
    }

    /// A failure that would only repeat itself: the event is not tried again.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Permanent, error.into())
    }

    /// Nothing was run, since what stands before the handler cannot be reached.
    pub fn unavailable(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Unavailable, error.into())
    }

    /// Another run of the same event is under way; it should be known after `delay`.
    pub fn in_flight(delay: Duration) -> Self {
        let mut this = Self::new(HandlerErrorKind::InFlight, "the event is being handled".into());
        this.0.retry_after = Some(delay);
        this
    }

    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Self::new(HandlerErrorKind::Panicked, format!("the handler panicked: {text}").into())
    }

    /// Takes any boxed error, as `anyhow`'s and tower's, which `?` does not: write
    /// `.map_err(|error| HandlerError::from_boxed(error.into()))`. One that was a `HandlerError`
    /// before becomes it again, so that it passes through tower's layers unharmed.
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Boxed>() {
            Ok(boxed) => Self(boxed.0),
            Err(error) => Self::of(error),
        }
    }

    /// An error of this crate's among the sources knows what it means for the event.
    fn of(error: BoxError) -> Self {
        #[cfg(feature = "api")]
        if let Some((kind, delay)) = Advice::of(&*error).map(|advice| (advice.kind, advice.delay)) {
            return Self(Box::new(Inner { kind, retry_after: delay, source: error }));
        }
        Self::failed(error)
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> HandlerErrorKind {
        self.0.kind
    }

    /// How long to wait before trying again, where the error says so.
    pub fn delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The error it was made of.
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.source
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, retry_after, source } = &*self.0;
        f.debug_struct("HandlerError")
            .field("kind", kind)
            .field("retry_after", retry_after)
            .field("source", source)
            .finish()
    }
}

/// The error's text, with those of its sources behind colons.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.source)?;
        let mut source = self.0.source.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::from_boxed(error.into())
    }
}

impl From<HandlerError> for BoxError {
    fn from(error: HandlerError) -> Self {
        Box::new(Boxed(error.0))
    }
}

/// A [`HandlerError`] on its way through code that knows only boxed errors.
#[derive(Debug)]
struct Boxed(Box<Inner>);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.fmt(f)
    }
}

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_error_survives_boxing() {
        let boxed: BoxError = HandlerError::retry_after(Duration::from_secs(7), "busy").into();
        let error = HandlerError::from_boxed(boxed);
        assert_eq!(error.kind(), HandlerErrorKind::Failed);
        assert_eq!(error.delay(), Some(Duration::from_secs(7)));
        assert_eq!(error.to_string(), "busy");
    }

    #[test]
    fn the_text_tells_the_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("no answer sent")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = HandlerError::from(Outer("x".parse::<u32>().unwrap_err()));
        assert_eq!(error.to_string(), "no answer sent: invalid digit found in string");
    }
}
