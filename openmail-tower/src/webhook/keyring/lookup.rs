//! [`Keyring`], and the types of its methods.

use std::{
    future::{Future, Ready, ready},
    sync::OnceLock,
};

use http::request::Parts;
use serde::Deserialize;

use crate::{
    event::InboxId,
    seam::BoxError,
    webhook::secret::{Secret, Secrets},
};

/// Where a request names the inbox whose secrets are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Nowhere, or the inbox has no secrets of its own: the account's secrets are tried.
    Account,
    /// In the request's head, for example in the path.
    Inbox(InboxId),
    /// In the body's `inbox_id`. It is read before the body is verified, to know which secrets to
    /// try, and is trusted only if the verified event has the same one.
    Body,
}

/// The secrets to try on one request.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(crate) secrets: Secrets,
    pub(crate) holder: Holder,
}

/// Whose events a set of secrets may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Account,
    Inbox(InboxId),
    Nobody,
}

impl Holder {
    /// Returns whether the holder may sign an event of this inbox; `None` is an event of no inbox.
    pub(crate) fn signs_for(&self, inbox: Option<&InboxId>, keyring: &impl Keyring) -> bool {
        match self {
            Self::Account => inbox.is_none_or(|inbox| keyring.account_signs_for(inbox)),
            Self::Inbox(own) => inbox.is_none_or(|inbox| inbox == own),
            Self::Nobody => false,
        }
    }

    /// Returns the inbox that owns everything the holder signs.
    pub(crate) fn inbox(&self) -> Option<&InboxId> {
        match self {
            Self::Inbox(own) => Some(own),
            Self::Account | Self::Nobody => None,
        }
    }
}

/// The inbox for which the keys were requested. Unless they were requested for the account, an
/// event that does not belong to this inbox is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// No inbox: the account's keys were requested.
    Account,
    /// The inbox named in the request's head.
    Head(InboxId),
    /// The inbox named in the body, if any.
    Body(Option<InboxId>),
}

impl Asked {
    /// Returns the inbox to look up.
    pub(crate) fn inbox(&self) -> Option<InboxId> {
        match self {
            Self::Account | Self::Body(None) => None,
            Self::Head(inbox) | Self::Body(Some(inbox)) => Some(inbox.clone()),
        }
    }

    /// Returns whether an event matches what was requested: `carried` is the inbox in its body,
    /// `owner` the one whose secret verified it.
    pub(crate) fn matches(&self, carried: Option<&InboxId>, owner: Option<&InboxId>) -> bool {
        match self {
            Self::Account => true,
            Self::Head(inbox) => carried.or(owner) == Some(inbox),
            Self::Body(inbox) => carried == inbox.as_ref(),
        }
    }
}

impl Keys {
    /// Secrets that sign for every inbox, except those for which
    /// [`account_signs_for`](Keyring::account_signs_for) returns `false`.
    pub fn account(secrets: Secrets) -> Self {
        Self { secrets, holder: Holder::Account }
    }

    /// Secrets that sign for one inbox. If they verify an event of another inbox, it is rejected;
    /// an event that names no inbox belongs to this one.
    pub fn inbox(inbox: InboxId, secrets: Secrets) -> Self {
        Self { secrets, holder: Holder::Inbox(inbox) }
    }

    /// The answer for an inbox that is unknown or has no secret: nothing verifies.
    ///
    /// The request is nevertheless hashed, and answered like one with a wrong signature, so neither
    /// the response nor its time reveals which inboxes exist. (A body is hashed once for each
    /// secret, so the time does reveal an inbox with several.)
    pub fn nobody() -> Self {
        static DECOY: OnceLock<Secrets> = OnceLock::new();
        let decoy =
            || Secret::new("a decoy for no inbox").expect("it is neither empty nor padded").into();
        Self { secrets: DECOY.get_or_init(decoy).clone(), holder: Holder::Nobody }
    }
}

/// Finds the secrets that may have signed a request.
///
/// If it returns an error, or no answer within [`keys_timeout`](crate::VerifyLayer::keys_timeout),
/// the response is 503, so that OpenMail retries. The future may be dropped at any time.
///
/// ```
/// use std::{future::Future, pin::Pin};
/// use http::request::Parts;
/// use openmail_tower::{BoxError, InboxId, Secrets, VerifyLayer, webhook::{Keyring, keyring::{Keys, Scope}}};
///
/// /// Keeps each inbox's secrets in a database.
/// #[derive(Clone)]
/// struct Database;
///
/// impl Database {
///     async fn secrets_of(&self, inbox: &InboxId) -> Result<Option<Secrets>, std::io::Error> {
///         Ok(None)
///     }
/// }
///
/// impl Keyring for Database {
///     type Future = Pin<Box<dyn Future<Output = Result<Keys, BoxError>> + Send>>;
///
///     fn scope(&self, _: &Parts) -> Scope {
///         Scope::Body
///     }
///
///     fn keys(&self, inbox: Option<InboxId>) -> Self::Future {
///         let this = self.clone();
///         Box::pin(async move {
///             let Some(inbox) = inbox else { return Ok(Keys::nobody()) };
///             Ok(match this.secrets_of(&inbox).await? {
///                 Some(secrets) => Keys::inbox(inbox, secrets),
///                 None => Keys::nobody(),
///             })
///         })
///     }
/// }
///
/// let layer = VerifyLayer::with_keyring(Database);
/// ```
pub trait Keyring: Clone + Send + Sync + 'static {
    /// The future of the lookup.
    type Future: Future<Output = Result<Keys, BoxError>> + Send;

    /// Returns where the request names its inbox. Nothing is verified yet, so the answer can only
    /// narrow what is accepted: it selects the secrets to try, and an event of another inbox is
    /// rejected.
    fn scope(&self, request: &Parts) -> Scope;

    /// Returns the secrets for an inbox. The inbox is `None` if the scope is [`Scope::Account`] or
    /// the body has no valid `inbox_id`. Unless the scope is `Account`, an event of another inbox
    /// is rejected, even if these secrets verify it. If the scope is [`Scope::Inbox`], an event
    /// that names no inbox is also rejected, unless these are the inbox's own secrets
    /// ([`Keys::inbox`]).
    fn keys(&self, inbox: Option<InboxId>) -> Self::Future;

    /// Returns whether the account's secrets may also sign for this inbox. Called after they have
    /// verified an event of that inbox; if `false`, the event is rejected. Default: `true`.
    fn account_signs_for(&self, inbox: &InboxId) -> bool {
        let _ = inbox;
        true
    }
}

/// A keyring of one account's secrets.
impl Keyring for Secrets {
    type Future = Ready<Result<Keys, BoxError>>;

    fn scope(&self, _: &Parts) -> Scope {
        Scope::Account
    }

    fn keys(&self, _: Option<InboxId>) -> Self::Future {
        ready(Ok(Keys::account(self.clone())))
    }
}

/// Reads only the `inbox_id` of a body: before verification, to know which secrets to try, and
/// after it, if the body is not an event.
pub(crate) fn peek_inbox_id(body: &[u8]) -> Option<InboxId> {
    #[derive(Deserialize)]
    struct Named {
        inbox_id: Option<InboxId>,
    }
    serde_json::from_slice::<Named>(body).ok()?.inbox_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_an_inbox_named_twice_or_in_an_odd_form() {
        let peek = |json: &str| peek_inbox_id(json.as_bytes()).map(|id| id.to_string());
        assert_eq!(peek(r#"{"a":{"inbox_id":"x"},"inbox_id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(peek(r#"{"a":"half an emoji \ud83d","inbox_id":"a"}"#).as_deref(), Some("a"));
        for json in [
            r#"{"inbox_id":"a","inbox_id":"b"}"#,
            r#"{"inbox_id":7}"#,
            r#"{"inbox_id":null}"#,
            "{}",
            "[]",
            "",
        ] {
            assert_eq!(peek(json), None, "{json}");
        }
    }

    /// The inbox is read twice: before verification, to choose the secrets, and after it. If the
    /// two were allowed to differ, the secrets of one inbox could sign for another.
    #[test]
    fn event_must_carry_the_inbox_whose_keys_were_requested() {
        let (a, b) = (&InboxId::from("a"), &InboxId::from("b"));
        for (asked, carried, owner, matches) in [
            (Asked::Account, Some(a), None, true),
            (Asked::Head(a.clone()), Some(a), None, true),
            (Asked::Head(a.clone()), None, Some(a), true),
            (Asked::Head(a.clone()), Some(b), Some(a), false),
            (Asked::Head(a.clone()), None, None, false),
            (Asked::Body(Some(a.clone())), Some(a), None, true),
            (Asked::Body(Some(a.clone())), Some(b), None, false),
            (Asked::Body(Some(a.clone())), None, Some(a), false),
            (Asked::Body(None), None, Some(a), true),
            (Asked::Body(None), Some(a), Some(a), false),
        ] {
            assert_eq!(asked.matches(carried, owner), matches, "{asked:?} {carried:?} {owner:?}");
        }
    }
}
