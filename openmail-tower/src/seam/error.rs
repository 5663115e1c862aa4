//! Why an event was not handled, and what its next delivery should do about it.

use std::{error::Error, fmt, time::Duration};

#[cfg(feature = "api")]
use super::advice::Advice;
use super::{panic::drop_quietly, text};

/// Any error, as in tower.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A failed run of a handler.
///
/// `?` makes one of any error: of a type that implements [`Error`], of `anyhow::Error`, of a text.
/// The event is then tried again. [`permanent`](Self::permanent) says that trying again is of no
/// use, [`after`](Self::after) when to try again.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{HandlerError, HandlerErrorKind};
///
/// fn answer(text: &str) -> Result<(), HandlerError> {
///     let number: u32 = text.parse()?; // tried again
///     match number {
///         0 => Err(HandlerError::permanent("there is no order 0")),
///         1 => Err(HandlerError::failed("the shop is closed").after(Duration::from_secs(600))),
///         _ => Ok(()),
///     }
/// }
/// assert_eq!(answer("x").unwrap_err().kind(), HandlerErrorKind::Failed);
/// assert_eq!(answer("0").unwrap_err().kind(), HandlerErrorKind::Permanent);
/// assert_eq!(answer("1").unwrap_err().delay(), Some(Duration::from_secs(600)));
/// ```
///
/// # With anyhow
/// A function that returns `Result<_, HandlerError>` takes an `anyhow::Error` by `?`. With the
/// feature `anyhow`, a function that returns `anyhow::Result` takes a `HandlerError` by `?`, and a
/// handler may return that result: what the `HandlerError` said still holds, also under a
/// `.context("…")`.
///
/// # As a boxed error
/// Like `anyhow::Error`, a `HandlerError` does not implement [`Error`]; `Into<BoxError>` makes a
/// [`BoxError`] of it, as tower's layers do. [`from_boxed`](Self::from_boxed) is the way back.
pub struct HandlerError(Box<Inner>);

struct Inner {
    kind: HandlerErrorKind,
    delay: Option<Duration>,
    /// Whether the log has it: it passes several places that would log it.
    logged: bool,
    /// Present until it is dropped, which may panic.
    source: Option<BoxError>,
}

/// What sort of failure a [`HandlerError`] is.
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
    /// A store, a queue or a lookup before the handler cannot be reached, or has no room: nothing
    /// was run, come back later.
    Unavailable,
    /// A limit that ends with time or by a person's doing: a rate, a pause, a suspension. Come back
    /// later, however often.
    PutOff,
}

impl HandlerErrorKind {
    /// The kind in one word, for logs and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Permanent => "permanent",
            Self::Panicked => "panicked",
            Self::InFlight => "in_flight",
            Self::Unavailable => "unavailable",
            Self::PutOff => "put_off",
        }
    }
}

impl HandlerError {
    fn new(kind: HandlerErrorKind, source: BoxError) -> Self {
        Self(Box::new(Inner { kind, delay: None, logged: false, source: Some(source) }))
    }

    /// Returns a failure after which to try again.
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Failed, error.into())
    }

    /// Returns a failure that would only repeat itself: the event is not tried again.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Permanent, error.into())
    }

    /// Says that nothing was run, since what stands before the handler cannot be reached or has no
    /// room.
    ///
    /// A queue does not count such a run as an attempt, and gives up after 72 h. Where the wait may
    /// be longer, use [`put_off`](Self::put_off).
    pub fn unavailable(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Unavailable, error.into())
    }

    /// Says that the event waits for a limit that ends with time or by a person's doing, such as a
    /// rate or a pause, and is to come back after `delay`.
    ///
    /// A queue does not count such a run as an attempt, and gives up after 30 days. This is how a
    /// layer puts an event off.
    pub fn put_off(error: impl Into<BoxError>, delay: Duration) -> Self {
        Self::new(HandlerErrorKind::PutOff, error.into()).after(delay)
    }

    /// Says that another run of the same event is under way, whose result should be known after
    /// `delay`.
    pub fn in_flight(delay: Duration) -> Self {
        Self::new(HandlerErrorKind::InFlight, "the event is being handled".into()).after(delay)
    }

    pub(crate) fn panicked(text: impl fmt::Display) -> Self {
        Self::new(HandlerErrorKind::Panicked, format!("the handler panicked: {text}").into())
    }

    /// Sets the time to wait before the event is tried again. Without it, the source of the event
    /// decides: OpenMail by its own schedule, a queue by its back-off.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.delay = Some(delay);
        self
    }

    /// Converts any boxed error. One that was a `HandlerError` before, or has one among its sources,
    /// keeps what that said, so a `HandlerError` passes through tower's layers unharmed.
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Boxed>() {
            Ok(boxed) => Self(boxed.0),
            Err(error) => {
                let said = said(&*error);
                let (kind, delay) = said.unwrap_or((HandlerErrorKind::Failed, None));
                Self(Box::new(Inner { kind, delay, logged: false, source: Some(error) }))
            }
        }
    }

    /// Returns what sort of failure it is.
    pub fn kind(&self) -> HandlerErrorKind {
        self.0.kind
    }

    /// Returns the time to wait before trying again, where the error says so.
    pub fn delay(&self) -> Option<Duration> {
        self.0.delay
    }

    /// Says that the log has it. Returns whether it was there before.
    pub(crate) fn set_logged(&mut self) -> bool {
        std::mem::replace(&mut self.0.logged, true)
    }

    /// Returns the error it was made of.
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.original()
    }
}

impl Inner {
    fn original(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.source.as_deref().expect("present until it is dropped")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop_quietly(self.source.take());
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("kind", &self.kind)
            .field("delay", &self.delay)
            .field("source", &format_args!("{}", text::debug(&self.original())))
            .finish()
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The error's text, followed by the texts of its sources, separated by colons. A source that the
/// text already names is not repeated. Longest text: 2 KiB.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::chain(self.source()))
    }
}

/// What `?` converts: every `E: Error + Send + Sync`, `anyhow::Error`, `String` and `&str`.
///
/// A [`BoxError`] is converted by [`HandlerError::from_boxed`].
// Two bounds: `HandlerError` itself must not meet both, and converts into a `BoxError` only.
impl<E: Into<BoxError> + Into<Box<dyn Error>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::from_boxed(error.into())
    }
}

impl From<HandlerError> for BoxError {
    fn from(error: HandlerError) -> Self {
        Box::new(Boxed(error.0))
    }
}

#[cfg(feature = "anyhow")]
impl From<HandlerError> for anyhow::Error {
    fn from(error: HandlerError) -> Self {
        Self::new(Boxed(error.0))
    }
}

/// A [`HandlerError`] on its way through code that knows only the trait [`Error`].
#[derive(Debug)]
struct Boxed(Box<Inner>);

/// Says what sort of failure it is: the rest is its source's text.
impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind {
            HandlerErrorKind::Failed | HandlerErrorKind::Panicked => "the handler failed",
            HandlerErrorKind::Permanent => "the handler failed for good",
            HandlerErrorKind::InFlight => "another run is under way",
            HandlerErrorKind::Unavailable => "the handler cannot be reached",
            HandlerErrorKind::PutOff => "the event is put off",
        })
    }
}

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// What the error was made of, still with what the [`HandlerError`] says: anyhow hides the type of
/// the outermost error, and of no other.
impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.original(), f)
    }
}

impl Error for Inner {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.original().source()
    }
}

/// What an error or its sources say: the first that is a [`HandlerError`], or of this crate's.
fn said(error: &(dyn Error + 'static)) -> Option<(HandlerErrorKind, Option<Duration>)> {
    std::iter::once(error).chain(text::sources(error)).find_map(|error| {
        #[cfg(feature = "api")]
        if let Some(advice) = error.downcast_ref::<Advice>() {
            return Some((advice.kind, advice.delay));
        }
        error.downcast_ref::<Inner>().map(|inner| (inner.kind, inner.delay))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_error_survives_boxing() {
        let boxed: BoxError = HandlerError::failed("busy").after(Duration::from_secs(7)).into();
        let error = HandlerError::from_boxed(boxed);
        assert_eq!(error.kind(), HandlerErrorKind::Failed);
        assert_eq!(error.delay(), Some(Duration::from_secs(7)));
        assert_eq!(error.to_string(), "busy");
    }

    #[test]
    fn a_handler_error_among_the_sources_is_found() {
        #[derive(Debug, thiserror::Error)]
        #[error("buffered")]
        struct Buffered(#[source] BoxError);
        let permanent = HandlerError::permanent("there is no order 0");
        let error = HandlerError::from(Buffered(permanent.into()));
        assert_eq!(error.kind(), HandlerErrorKind::Permanent);
        assert_eq!(error.to_string(), "buffered: the handler failed for good: there is no order 0");
    }

    #[test]
    fn the_text_names_the_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("no answer sent")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = HandlerError::from(Outer("x".parse::<u32>().unwrap_err()));
        assert_eq!(error.to_string(), "no answer sent: invalid digit found in string");
    }

    #[test]
    fn question_mark_converts_texts_and_errors() {
        fn run(text: &str) -> Result<(), HandlerError> {
            let number = text.parse::<u8>()?;
            if number == 0 { Err("none")? } else { Err(format!("{number} is too many"))? }
        }
        for (text, expected) in [("0", "none"), ("2", "2 is too many")] {
            assert_eq!(run(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_error_that_panics_when_shown_or_dropped_is_contained() {
        struct Rude;
        impl fmt::Debug for Rude {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("Debug")
            }
        }
        impl fmt::Display for Rude {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("Display")
            }
        }
        impl Error for Rude {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                panic!("source")
            }
        }
        impl Drop for Rude {
            fn drop(&mut self) {
                panic!("Drop")
            }
        }
        let error = HandlerError::from(Rude);
        assert_eq!(error.to_string(), "(the error's text panicked)");
        assert!(format!("{error:?}").contains("kind: Failed"));
        drop(error);
    }

    #[cfg(feature = "anyhow")]
    #[test]
    fn anyhow_and_handler_error_mix_in_both_directions() {
        use anyhow::Context;

        fn there(fails: bool) -> anyhow::Result<()> {
            if fails { Err(HandlerError::permanent("there is no order 0"))? } else { Ok(()) }
        }
        fn and_back(context: bool) -> Result<(), HandlerError> {
            match context {
                true => there(true).context("cannot answer")?,
                false => there(true)?,
            }
            Ok(())
        }
        for (context, text) in [
            (false, "the handler failed for good: there is no order 0"),
            (true, "cannot answer: the handler failed for good: there is no order 0"),
        ] {
            let error = and_back(context).unwrap_err();
            assert_eq!(error.kind(), HandlerErrorKind::Permanent);
            assert_eq!(error.to_string(), text);
        }
    }
}
