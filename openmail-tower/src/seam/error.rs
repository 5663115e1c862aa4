//! The error of a handler: why an event was not handled, and how it should be retried.

use std::{error::Error, fmt, time::Duration};

#[cfg(feature = "api")]
use super::advice::Advice;
use super::{panic::drop_quietly, text};

/// Any error, as tower defines it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why an event was not handled, and whether and when to retry it.
///
/// `?` converts any error that is [`Send`] and [`Sync`]: one that implements [`Error`], an
/// `anyhow::Error`, a string. The event is then retried, unless the error or one of its sources is
/// a `HandlerError` or an [`ApiError`](crate::api::ApiError) that says otherwise.
/// [`permanent`](Self::permanent) says that a retry would not help; [`after`](Self::after) sets the
/// minimum time before the retry.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{HandlerError, HandlerErrorKind};
///
/// fn answer(text: &str) -> Result<(), HandlerError> {
///     let number: u32 = text.parse()?; // retried
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
/// In a function that returns `Result<_, HandlerError>`, `?` converts an `anyhow::Error`. With the
/// feature `anyhow`, the reverse works as well: in a function that returns `anyhow::Result`, `?`
/// converts a `HandlerError`, and a handler may return that result. The kind and the delay are
/// kept, even under a `.context("…")`.
///
/// # As a boxed error
/// Like `anyhow::Error`, a `HandlerError` does not implement [`Error`]. `Into<BoxError>` converts
/// it to a [`BoxError`], the error of tower's layers, and [`from_boxed`](Self::from_boxed) converts
/// it back.
pub struct HandlerError(Box<Inner>);

struct Inner {
    kind: HandlerErrorKind,
    delay: Option<Duration>,
    /// Whether it has been logged: it passes several places that would log it.
    logged: bool,
    /// Whether other events in the lane may run before this one, which is put off.
    steps_aside: bool,
    /// `Some` until `Drop` takes it out. Dropping it may panic.
    source: Option<BoxError>,
}

/// The kind of a [`HandlerError`]. A queue does not count a run as an attempt if it ends with an
/// error of the kind `InFlight`, `Unavailable` or `PutOff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerErrorKind {
    /// The handler failed: retry.
    Failed,
    /// The handler failed and would fail again: do not retry.
    Permanent,
    /// The handler panicked: retry.
    Panicked,
    /// Another run of the same event is in progress: retry later.
    InFlight,
    /// A store, a queue or a lookup before the handler is unreachable or full, a limit on
    /// concurrent runs is reached, a layer is shutting down, or an agent refuses connections. No
    /// handler ran: retry later.
    Unavailable,
    /// A limit, such as a rate, a pause or a suspension, holds the event back. The limit ends with
    /// time, or a person lifts it: retry later.
    PutOff,
}

impl HandlerErrorKind {
    /// Returns the kind as one word, for logs and metrics.
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
        let source = Some(source);
        Self(Box::new(Inner { kind, delay: None, logged: false, steps_aside: false, source }))
    }

    /// Creates a failure after which the event is retried.
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Failed, error.into())
    }

    /// Creates a failure that would only repeat itself: the event is not retried.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Permanent, error.into())
    }

    /// Creates an error for a handler that did not run, because something before it is unreachable
    /// or full.
    ///
    /// A queue does not count such a run as an attempt, and gives up after 72 h by default
    /// (`RetryPolicy::max_age`). If the wait may be longer, use [`put_off`](Self::put_off).
    pub fn unavailable(error: impl Into<BoxError>) -> Self {
        Self::new(HandlerErrorKind::Unavailable, error.into())
    }

    /// Creates an error for an event that a limit holds back, such as a rate or a pause, until the
    /// limit ends or a person lifts it. The event is retried after `delay`.
    ///
    /// A queue does not count such a run as an attempt, and gives up after 30 days by default
    /// (`RetryPolicy::max_put_off`). A layer can use this to put an event off.
    pub fn put_off(error: impl Into<BoxError>, delay: Duration) -> Self {
        Self::new(HandlerErrorKind::PutOff, error.into()).after(delay)
    }

    /// Lets other events in the lane run before this one, which is put off.
    #[cfg(feature = "guard")]
    pub(crate) fn stepping_aside(mut self) -> Self {
        self.0.steps_aside = true;
        self
    }

    /// Returns whether other events in the lane may run before this one, which is put off.
    #[cfg(feature = "queue")]
    pub(crate) fn steps_aside(&self) -> bool {
        self.0.steps_aside
    }

    /// Creates an error for an event that another run is handling. The event is retried after
    /// `delay`, by when that run is expected to have ended.
    pub fn in_flight(delay: Duration) -> Self {
        Self::new(HandlerErrorKind::InFlight, "the event is being handled".into()).after(delay)
    }

    pub(crate) fn panicked(text: impl fmt::Display) -> Self {
        Self::new(HandlerErrorKind::Panicked, format!("the handler panicked: {text}").into())
    }

    /// Sets the minimum time before the event is retried. A queue waits for this time or for its
    /// back-off, whichever is longer; an event that is [put off](Self::put_off) waits exactly this
    /// time. Without a queue, the response has it as `Retry-After`, but OpenMail may ignore it and
    /// keep to its own schedule.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.delay = Some(delay);
        self
    }

    /// Converts a boxed error. If it was a `HandlerError`, or has one among its sources, the kind
    /// and the delay are kept, so a `HandlerError` survives tower's layers.
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Boxed>() {
            Ok(boxed) => Self(boxed.0),
            Err(error) => {
                let found = kind_and_delay(&*error);
                let (kind, delay) = found.unwrap_or((HandlerErrorKind::Failed, None));
                let source = Some(error);
                Self(Box::new(Inner { kind, delay, logged: false, steps_aside: false, source }))
            }
        }
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> HandlerErrorKind {
        self.0.kind
    }

    /// Returns the minimum time before a retry, if one was set.
    pub fn delay(&self) -> Option<Duration> {
        self.0.delay
    }

    /// Marks the error as logged. Returns whether it was marked before.
    pub(crate) fn set_logged(&mut self) -> bool {
        std::mem::replace(&mut self.0.logged, true)
    }

    /// Returns the error that it was made from.
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
            .field("steps_aside", &self.steps_aside)
            .field("source", &format_args!("{}", text::debug(&self.original())))
            .finish()
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Writes the error's text followed by those of its sources, separated by colons. A source is left
/// out if the text written just before it already contains its text. After 2 KiB, the text is cut
/// off and ends with `…`.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::chain(self.source()))
    }
}

/// Lets `?` convert every `E: Error + Send + Sync`, `anyhow::Error`, `String` and `&str`.
///
/// To convert a [`BoxError`], use [`HandlerError::from_boxed`].
// Two bounds, so that this does not overlap with `impl From<T> for T`: `HandlerError` satisfies
// only the first.
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

/// A [`HandlerError`] inside code that knows only the trait [`Error`].
#[derive(Debug)]
struct Boxed(Box<Inner>);

/// Writes the kind of failure only; the rest is the text of its source.
impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind {
            HandlerErrorKind::Failed | HandlerErrorKind::Panicked => "the handler failed",
            HandlerErrorKind::Permanent => "the handler failed permanently",
            HandlerErrorKind::InFlight => "another run is under way",
            HandlerErrorKind::Unavailable => "the handler could not be run",
            HandlerErrorKind::PutOff => "the event is put off",
        })
    }
}

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The source of [`Boxed`]: shows the original error, but keeps the kind and the delay. anyhow
/// hides the type of the outermost error only, so `downcast_ref` still finds this inner one.
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

/// Returns the kind and delay of the first error in the chain that is a [`HandlerError`] or has an
/// [`Advice`].
fn kind_and_delay(error: &(dyn Error + 'static)) -> Option<(HandlerErrorKind, Option<Duration>)> {
    std::iter::once(error).chain(text::sources(error)).find_map(|error| {
        #[cfg(feature = "api")]
        if let Some(advice) = error.downcast_ref::<Advice>() {
            return Some((advice.kind, advice.delay));
        }
        error.downcast_ref::<Inner>().map(|inner| (inner.kind, inner.delay))
    })
}

#[cfg(test)]
mod tests;
