//! [`Advice`]: what an `ApiError` means for the event whose handler fails with it.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use super::error::{BoxError, HandlerErrorKind};

/// The kind and the delay of a run that fails with an `ApiError`. Each `ApiError` has an `Advice`
/// among its sources, so `HandlerError` finds it even inside a user's error.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) kind: HandlerErrorKind,
    pub(crate) delay: Option<Duration>,
    text: Cow<'static, str>,
    pub(crate) source: Option<BoxError>,
}

impl Advice {
    pub(crate) fn new(
        kind: HandlerErrorKind,
        delay: Option<Duration>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, delay, text: text.into(), source: None }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Advice {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
