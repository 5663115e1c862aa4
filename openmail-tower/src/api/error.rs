//! [`ApiError`]: why a request to OpenMail's API failed, and what to do about it.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use http::StatusCode;

use crate::seam::{Advice, BoxError, HandlerErrorKind};

/// A failed request to OpenMail's API.
///
/// In a handler, `?` converts it into the right [`HandlerError`](crate::HandlerError), even if it
/// is the source of your own error type:
///
/// | kind | the event |
/// |---|---|
/// | [`RateLimited`], [`ColdOutreachLimit`], [`SpendCapPaused`], [`StorageLimitExceeded`], [`AccountBanned`], [`ReputationSuspended`], [`Unauthorized`] | waits; behind a queue, this uses no attempt |
/// | [`Unavailable`], [`TimedOut`], [`UnexpectedAnswer`], [`Stalled`], [`Expired`], [`ForbiddenAddress`], [`InsecureRedirect`], [`TooManyRedirects`], [`Disk`] | is retried |
/// | any other | fails permanently |
///
/// `Display` shows the kind; `Debug` and the [source](Error::source) also show the status and
/// OpenMail's code. None of them shows OpenMail's [`message`](Self::message), which may name an
/// address.
///
/// [`RateLimited`]: ApiErrorKind::RateLimited
/// [`ColdOutreachLimit`]: ApiErrorKind::ColdOutreachLimit
/// [`SpendCapPaused`]: ApiErrorKind::SpendCapPaused
/// [`StorageLimitExceeded`]: ApiErrorKind::StorageLimitExceeded
/// [`AccountBanned`]: ApiErrorKind::AccountBanned
/// [`ReputationSuspended`]: ApiErrorKind::ReputationSuspended
/// [`Unauthorized`]: ApiErrorKind::Unauthorized
/// [`Unavailable`]: ApiErrorKind::Unavailable
/// [`TimedOut`]: ApiErrorKind::TimedOut
/// [`UnexpectedAnswer`]: ApiErrorKind::UnexpectedAnswer
/// [`Stalled`]: ApiErrorKind::Stalled
/// [`Expired`]: ApiErrorKind::Expired
/// [`ForbiddenAddress`]: ApiErrorKind::ForbiddenAddress
/// [`InsecureRedirect`]: ApiErrorKind::InsecureRedirect
/// [`TooManyRedirects`]: ApiErrorKind::TooManyRedirects
/// [`Disk`]: ApiErrorKind::Disk
pub struct ApiError(Box<Inner>);

struct Inner {
    kind: ApiErrorKind,
    status: Option<StatusCode>,
    code: Option<Box<str>>,
    message: Option<Box<str>>,
    may_have_been_sent: bool,
    advice: Advice,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// The request breaks one of OpenMail's rules, or contains an id or a file name that cannot be
    /// part of a URL. It was not sent.
    Invalid,
    /// 400: OpenMail does not understand the request.
    BadRequest,
    /// 401: the API key is wrong or has expired.
    Unauthorized,
    /// 402, such as `spend_cap_paused`: the account's spending limit is reached.
    SpendCapPaused,
    /// 403 `account_banned`: the account is banned.
    AccountBanned,
    /// 403 `reputation_suspended`: the inbox, or its pod, may not send until OpenMail reactivates
    /// it.
    ReputationSuspended,
    /// 403: the API key's scope does not cover this.
    Forbidden,
    /// 403 `feature_requires_paid_plan`: the request needs a paid plan.
    PaidPlanRequired,
    /// 404: there is no such inbox, thread or attachment.
    NotFound,
    /// 409 or 422: the idempotency key was used before with another body, so a mail was already
    /// sent with it.
    KeyReused,
    /// 422 `recipient_suppressed`: the recipient bounced, complained or unsubscribed.
    RecipientSuppressed,
    /// 422 `unsafe_content` or `phishing_detected`: OpenMail refuses the mail's content.
    UnsafeContent,
    /// 422 `no_mx_records`: the recipient's domain does not accept mail.
    NoMxRecords,
    /// 422 `storage_limit_exceeded`: the account's storage is full.
    StorageLimitExceeded,
    /// 429: too many requests or mails.
    RateLimited,
    /// 429 `cold_outreach_limit`: too many mails to new recipients.
    ColdOutreachLimit,
    /// Any other refusal by OpenMail.
    Rejected,
    /// There is no complete response, or the response is a 5xx, a 408, a 425 or not in OpenMail's
    /// form, such as a proxy's page. Also a 409 or 422 while OpenMail is still processing a request
    /// with the same idempotency key. In a download, also any unexpected status of another host,
    /// unless it means [`Expired`](Self::Expired).
    Unavailable,
    /// No complete response arrived in time.
    TimedOut,
    /// The response is too large, is JSON of an unexpected form, or is an OpenMail error with a
    /// status that the API does not use, such as 302.
    UnexpectedAnswer,
    /// The attachment is larger than allowed, or larger than its message says.
    FileTooLarge,
    /// The attachment's URL has expired or is missing, and could not be renewed.
    Expired,
    /// The attachment's URL, or one that it redirects to, contains credentials or is not a valid
    /// `https` URL.
    InsecureRedirect,
    /// The attachment's URL leads to an address that is not public.
    ForbiddenAddress,
    /// The attachment's URL redirects in a loop, or too many times.
    TooManyRedirects,
    /// The download received nothing for too long.
    Stalled,
    /// Writing to the file or the writer failed.
    Disk,
}

/// How long to wait for a rate limit to end or an API key to be accepted, if OpenMail does not say.
const WAIT: Duration = Duration::from_secs(60);
/// How long to wait for a limit that lasts longer or that a person must lift, if OpenMail does not
/// say.
const WAIT_FOR_PEOPLE: Duration = Duration::from_secs(15 * 60);

impl ApiErrorKind {
    /// Returns what the error means for the event whose handler fails with it, and how long to wait
    /// by default.
    fn advice(self) -> (HandlerErrorKind, Option<Duration>) {
        use HandlerErrorKind::{Failed, Permanent, PutOff};
        match self {
            Self::RateLimited | Self::Unauthorized => (PutOff, Some(WAIT)),
            Self::ColdOutreachLimit
            | Self::SpendCapPaused
            | Self::StorageLimitExceeded
            | Self::AccountBanned
            | Self::ReputationSuspended => (PutOff, Some(WAIT_FOR_PEOPLE)),
            Self::Unavailable
            | Self::TimedOut
            | Self::UnexpectedAnswer
            | Self::Stalled
            | Self::Expired
            | Self::ForbiddenAddress
            | Self::InsecureRedirect
            | Self::TooManyRedirects
            | Self::Disk => (Failed, None),
            Self::Invalid
            | Self::BadRequest
            | Self::Forbidden
            | Self::PaidPlanRequired
            | Self::NotFound
            | Self::KeyReused
            | Self::RecipientSuppressed
            | Self::UnsafeContent
            | Self::NoMxRecords
            | Self::Rejected
            | Self::FileTooLarge => (Permanent, None),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Invalid => "the request breaks one of OpenMail's rules",
            Self::BadRequest => "OpenMail does not understand the request",
            Self::Unauthorized => "OpenMail does not accept the API key; check OPENMAIL_API_KEY",
            Self::SpendCapPaused => "the OpenMail account's spending limit is reached",
            Self::AccountBanned => "the OpenMail account is banned",
            Self::ReputationSuspended => "OpenMail has suspended sending from this inbox",
            Self::Forbidden => "the API key's scope does not cover this request",
            Self::PaidPlanRequired => "this request needs a paid OpenMail plan",
            Self::NotFound => "OpenMail has no such inbox, thread or attachment",
            Self::KeyReused => "the idempotency key was used before with another body",
            Self::RecipientSuppressed => "the recipient is suppressed",
            Self::UnsafeContent => "OpenMail refuses the mail's content",
            Self::NoMxRecords => "the recipient's domain does not accept mail",
            Self::StorageLimitExceeded => "the OpenMail account's storage is full",
            Self::RateLimited => "OpenMail's rate limit is reached",
            Self::ColdOutreachLimit => "OpenMail's limit for new recipients is reached",
            Self::Rejected => "OpenMail refuses the request",
            Self::Unavailable => "OpenMail's API is unavailable",
            Self::TimedOut => "OpenMail's API did not answer in time",
            Self::UnexpectedAnswer => "OpenMail's response cannot be read",
            Self::FileTooLarge => "the attachment is too large",
            Self::Expired => "the attachment's URL has expired or is missing",
            Self::InsecureRedirect => "the attachment's URL leads to an insecure address",
            Self::ForbiddenAddress => "the attachment's URL leads to an address that is not public",
            Self::TooManyRedirects => "the attachment's URL leads through too many redirects",
            Self::Stalled => "the download stalled",
            Self::Disk => "the attachment cannot be written",
        }
    }
}

impl ApiError {
    /// Creates an error. `detail` follows the kind's text in a log, so it must not contain text or
    /// addresses of a mail.
    pub(super) fn new(kind: ApiErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let (handler, delay) = kind.advice();
        let advice = Advice::new(handler, delay, detail);
        Self(Box::new(Inner {
            kind,
            status: None,
            code: None,
            message: None,
            may_have_been_sent: false,
            advice,
        }))
    }

    pub(super) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.advice.source = Some(source.into());
        self
    }

    pub(super) fn answered(mut self, status: StatusCode, code: &str, message: &str) -> Self {
        self.0.status = Some(status);
        self.0.code = Some(code).filter(|code| !code.is_empty()).map(Into::into);
        self.0.message = Some(message).filter(|text| !text.is_empty()).map(Into::into);
        self
    }

    pub(super) fn after(mut self, delay: Option<Duration>) -> Self {
        if delay.is_some() {
            self.0.advice.delay = delay;
        }
        self
    }

    pub(super) fn maybe_sent(mut self, maybe: bool) -> Self {
        self.0.may_have_been_sent = maybe;
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> ApiErrorKind {
        self.0.kind
    }

    /// Returns the HTTP status, if the error is about a response that refuses the request or whose
    /// JSON cannot be read.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns OpenMail's code, such as `recipient_suppressed`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns OpenMail's message. It may contain addresses, so neither log lines nor `Debug` show
    /// it.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Returns how long to wait before the next attempt: the `Retry-After` of the API's response
    /// (at least 1 s, at most 24 h), or a default. The default is 1 min or 15 min for errors that
    /// make an event wait, and 2 s if OpenMail itself answered 408 or 425 or is still processing a
    /// request with the same idempotency key. Other errors have no default: waiting does not help,
    /// or the caller's own back-off applies.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.advice.delay
    }

    /// Returns whether the mail may have been sent despite this error. If so, retry with the same
    /// idempotency key and the same mail: it is then sent once. After a
    /// [`KeyReused`](ApiErrorKind::KeyReused), a retry fails again.
    pub fn may_have_been_sent(&self) -> bool {
        self.0.may_have_been_sent
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.text())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("kind", &self.0.kind)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("may_have_been_sent", &self.0.may_have_been_sent)
            .field("source", &self.0.advice)
            .finish_non_exhaustive()
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::HandlerError;

    #[derive(Debug, thiserror::Error)]
    #[error("the agent failed")]
    struct AgentError(#[from] ApiError);

    #[test]
    fn each_error_kind_becomes_the_right_handler_error() {
        let limited =
            || ApiError::new(ApiErrorKind::RateLimited, "429").after(Some(Duration::from_secs(7)));
        let wrapped: HandlerError = AgentError(limited()).into();
        for error in [HandlerError::from(limited()), wrapped] {
            assert_eq!(error.kind(), HandlerErrorKind::PutOff);
            assert_eq!(error.delay(), Some(Duration::from_secs(7)));
        }
        use ApiErrorKind as Kind;
        for (kinds, handler, delays) in [
            (
                &[Kind::RateLimited, Kind::Unauthorized][..],
                HandlerErrorKind::PutOff,
                Some(Duration::from_secs(60)),
            ),
            (
                &[
                    Kind::ColdOutreachLimit,
                    Kind::SpendCapPaused,
                    Kind::StorageLimitExceeded,
                    Kind::AccountBanned,
                    Kind::ReputationSuspended,
                ],
                HandlerErrorKind::PutOff,
                Some(Duration::from_secs(15 * 60)),
            ),
            (
                &[
                    Kind::Unavailable,
                    Kind::TimedOut,
                    Kind::UnexpectedAnswer,
                    Kind::Stalled,
                    Kind::Expired,
                    Kind::ForbiddenAddress,
                    Kind::InsecureRedirect,
                    Kind::TooManyRedirects,
                    Kind::Disk,
                ],
                HandlerErrorKind::Failed,
                None,
            ),
            (
                &[
                    Kind::Invalid,
                    Kind::BadRequest,
                    Kind::Forbidden,
                    Kind::PaidPlanRequired,
                    Kind::NotFound,
                    Kind::KeyReused,
                    Kind::RecipientSuppressed,
                    Kind::UnsafeContent,
                    Kind::NoMxRecords,
                    Kind::Rejected,
                    Kind::FileTooLarge,
                ],
                HandlerErrorKind::Permanent,
                None,
            ),
        ] {
            for kind in kinds {
                let error = HandlerError::from(ApiError::new(*kind, "x"));
                assert_eq!((error.kind(), error.delay()), (handler, delays), "{kind:?}");
            }
        }
    }

    #[test]
    fn debug_and_display_omit_the_message() {
        let error = ApiError::new(ApiErrorKind::RecipientSuppressed, "OpenMail answered 422")
            .answered(
                StatusCode::UNPROCESSABLE_ENTITY,
                "recipient_suppressed",
                "ada@example.com bounced",
            );
        let shown =
            format!("{error:?} {error} {}", HandlerError::from(ApiError::new(error.kind(), "x")));
        assert!(!shown.contains("ada"), "{shown}");
        assert_eq!(error.message(), Some("ada@example.com bounced"));
        assert_eq!(error.code(), Some("recipient_suppressed"));
    }
}
