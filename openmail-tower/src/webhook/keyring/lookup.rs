//! [`Keyring`], and what it is asked and answers.

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

/// Where the name of the inbox stands whose secrets are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Nowhere: one set of secrets signs for the whole account.
    Account,
    /// In the request's head, as the path.
    Inbox(InboxId),
    /// In the body's `inbox_id`: read before it is verified, to know whose secrets to try, and
    /// believed only if the verified event carries the same.
    Body,
}

/// The secrets to try on one request.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(crate) secrets: Secrets,
    pub(crate) holder: Holder,
}

/// Who signs with a set of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Account,
    Inbox(InboxId),
    Nobody,
}

impl Holder {
    /// Whether the holder signs for events of this inbox, or of none.
    pub(crate) fn signs_for(&self, inbox: Option<&InboxId>, keyring: &impl Keyring) -> bool {
        match self {
            Self::Account => inbox.is_none_or(|inbox| keyring.account_signs_for(inbox)),
            Self::Inbox(own) => inbox.is_none_or(|inbox| inbox == own),
            Self::Nobody => false,
        }
    }

    /// The inbox that owns whatever the holder signs.
    pub(crate) fn inbox(&self) -> Option<&InboxId> {
        match self {
            Self::Inbox(own) => Some(own),
            Self::Account | Self::Nobody => None,
        }
    }
}

/// Which inbox the keys were asked for. The event must carry the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// None: one set of secrets signs for the account.
    Account,
    /// The inbox that the request's head names.
    Head(InboxId),
    /// What the body's `inbox_id` says.
    Body(Option<InboxId>),
}

impl Asked {
    /// The inbox to look up.
    pub(crate) fn inbox(&self) -> Option<InboxId> {
        match self {
            Self::Account | Self::Body(None) => None,
            Self::Head(inbox) | Self::Body(Some(inbox)) => Some(inbox.clone()),
        }
    }

    /// Whether an event may be what was asked for: `carried` is the inbox in its body, `owner` the
    /// one whose secret verified it.
    pub(crate) fn matches(&self, carried: Option<&InboxId>, owner: Option<&InboxId>) -> bool {
        match self {
            Self::Account => true,
            Self::Head(inbox) => carried.or(owner) == Some(inbox),
            Self::Body(inbox) => carried == inbox.as_ref(),
        }
    }
}

impl Keys {
    /// Secrets that sign for every inbox, save those that
    /// [`account_signs_for`](Keyring::account_signs_for) excepts.
    pub fn account(secrets: Secrets) -> Self {
        Self { secrets, holder: Holder::Account }
    }

    /// Secrets that sign for one inbox. An event of another inbox that they verify is refused; one
    /// that names no inbox belongs to this one.
    pub fn inbox(inbox: InboxId, secrets: Secrets) -> Self {
        Self { secrets, holder: Holder::Inbox(inbox) }
    }

    /// For an inbox that has no secret, or is not known: nothing verifies.
    ///
    /// The request is hashed all the same, and answered as one whose signature is wrong, so that
    /// neither the answer nor its time tells which inboxes there are. (A body is hashed once for
    /// each secret: of an inbox that has several, the time tells.)
    pub fn nobody() -> Self {
        static DECOY: OnceLock<Secrets> = OnceLock::new();
        let decoy = || Secret::new("decoy").expect("it is neither empty nor padded").into();
        Self { secrets: DECOY.get_or_init(decoy).clone(), holder: Holder::Nobody }
    }
}

/// Finds the secrets that may have signed a request.
///
/// Its errors, and no answer within [`keys_timeout`](crate::VerifyLayer::keys_timeout), are answered
/// 503, so that OpenMail tries again. The future may be dropped at any time.
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
    /// The lookup.
    type Future: Future<Output = Result<Keys, BoxError>> + Send;

    /// Where the inbox is named. Nothing is verified yet: an answer only says what to try.
    fn scope(&self, request: &Parts) -> Scope;

    /// Returns the secrets for what the scope names: an inbox, or none where that is
    /// [`Scope::Account`] or the body holds no `inbox_id`. An event that carries another inbox is
    /// refused, whoever's secrets these are.
    fn keys(&self, inbox: Option<InboxId>) -> Self::Future;

    /// Whether the account's secrets sign for this inbox too. Asked once they have verified an event
    /// of it; no means that it is refused.
    fn account_signs_for(&self, inbox: &InboxId) -> bool {
        let _ = inbox;
        true
    }
}

/// One account's secrets.
impl Keyring for Secrets {
    type Future = Ready<Result<Keys, BoxError>>;

    fn scope(&self, _: &Parts) -> Scope {
        Scope::Account
    }

    fn keys(&self, _: Option<InboxId>) -> Self::Future {
        ready(Ok(Keys::account(self.clone())))
    }
}

/// Reads `inbox_id` from a body that is not verified yet: only to know whose secret to try.
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
    fn an_inbox_named_twice_or_oddly_is_none() {
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
}
