//! Which secrets may sign a request, and for which inbox.

use std::future::{Future, Ready, ready};

use http::request::Parts;
use serde::Deserialize;

use crate::{event::InboxId, router::BoxError, secret::Secrets};

/// Where the name of the inbox stands whose secrets are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Nowhere: one set of secrets signs for the whole account.
    Account,
    /// In the request's head, as the path.
    Inbox(InboxId),
    /// In the body's `inbox_id`: read before it is verified, and believed only after.
    Body,
}

/// The secrets to try on one request.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(crate) secrets: Secrets,
    pub(crate) inbox: Option<InboxId>,
}

impl Keys {
    /// Secrets that sign for every inbox.
    pub fn account(secrets: Secrets) -> Self {
        Self { secrets, inbox: None }
    }

    /// Secrets that sign for one inbox: an event of another that they verify is refused.
    pub fn inbox(inbox: InboxId, secrets: Secrets) -> Self {
        Self { secrets, inbox: Some(inbox) }
    }
}

/// Finds the secrets that may have signed a request.
pub trait Keyring: Clone + Send + Sync + 'static {
    /// The lookup.
    type Future: Future<Output = Result<Keys, BoxError>> + Send;

    /// Where the inbox is named.
    fn scope(&self, request: &Parts) -> Scope;

    /// The secrets of an inbox, or of the account where the scope names none.
    fn keys(&self, inbox: Option<InboxId>) -> Self::Future;
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
