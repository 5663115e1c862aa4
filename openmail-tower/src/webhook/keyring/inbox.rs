//! [`InboxKeyring`].

use std::{
    fmt,
    future::{Ready, ready},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::{
    event::{InboxId, InboxMap},
    seam::BoxError,
    webhook::secret::{Secret, Secrets},
};

use super::{
    lookup::{Keyring, Keys, Scope},
    rotation::Rotation,
};

/// The secrets of single inboxes and, beside them, of the account. They change while it is in use;
/// clones share them.
///
/// # Who signs for whom
///
/// **An inbox that has secrets of its own is signed for by these alone; every other one by the
/// account's.** It is so on every road: whatever the path, the body or a header claims only decides
/// which secrets are tried, and an event is refused with 401 unless it is one that they may sign.
///
/// | signed with | event of | answer |
/// |---|---|---|
/// | A's secret | A | let through |
/// | A's secret | no inbox (`setup.test`, `pod.*`, unknown events) | let through, and belongs to A |
/// | A's secret | B | 401 |
/// | the account's | an inbox without a secret of its own, or no inbox | let through |
/// | the account's | A | 401 |
/// | any | an inbox that is not known, and no account | 401 |
///
/// # How to lay out secrets among tenants
///
/// - **A secret for each inbox whose secret somebody else sees.** Whoever holds a webhook's secret
///   can write as OpenMail to whatever it signs for. A tenant who runs his own receiver, or sees his
///   webhook's settings, therefore must hold nothing but his inbox's. The account's secret signs for
///   all inboxes without one: it stays with the operator.
/// - **One URL for each, `/webhooks/{inbox_id}`.** OpenMail signs with the secret that belongs to
///   the URL. With the inbox in the path, a request's secrets are known from its head, and the body
///   is hashed while it arrives. [`by_body`](Self::by_body) is for whoever can have one URL only.
/// - **Never one secret in two inboxes.** Both could then sign for one another's URL, though not
///   with the other's `inbox_id`.
/// - **Put a secret in here before OpenMail gets it**, and take it out after. A rotated secret is
///   invalid for OpenMail at once, and an event refused five times is lost: hence
///   [`rotate`](Self::rotate), with an overlap of at least the ten minutes that an event is tried
///   for. An inbox that leaves the account's webhook for one of its own is
///   [`set`](Self::set) once OpenMail delivers there: from then on the account's secret no longer
///   signs for it.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{EventRouter, Secret, VerifyLayer, webhook, webhook::InboxKeyring};
///
/// let keyring = InboxKeyring::new().with_account(Secret::new("whsec_account")?);
/// keyring.set("inb_support", Secret::new("whsec_support")?);
///
/// let webhook = webhook(VerifyLayer::with_keyring(keyring.clone()), EventRouter::new());
/// let app: axum::Router = axum::Router::new()
///     .route_service("/webhooks", webhook.clone())
///     .route_service("/webhooks/{inbox_id}", webhook);
///
/// // Any time later, from any thread:
/// keyring.rotate("inb_support", Secret::new("whsec_next")?, Duration::from_secs(900));
/// keyring.remove("inb_support");
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
///
/// # What a stranger learns
///
/// An inbox that is not known costs a hash of the body and is answered as a wrong signature is. Two
/// things can be told by time. While an inbox has two secrets, its body is hashed once for each. And
/// finding the secrets of an inbox that has some takes 1 to 23 ns longer than finding none, by how
/// the table lies in the processor's cache; nothing makes it equal, since that is far below what the
/// time of an HTTP response shows.
#[derive(Clone)]
pub struct InboxKeyring {
    shared: Arc<Shared>,
    by_path: bool,
}

struct Shared {
    inboxes: InboxMap<Rotation>,
    account: RwLock<Option<Rotation>>,
}

impl InboxKeyring {
    /// A keyring without secrets, which lets nothing through. The inbox is named by the last segment
    /// of the path.
    pub fn new() -> Self {
        let shared = Shared { inboxes: InboxMap::default(), account: RwLock::new(None) };
        Self { shared: Arc::new(shared), by_path: true }
    }

    /// Beside the inboxes' secrets, takes the account's, for every inbox that has none of its own.
    #[must_use]
    pub fn with_account(self, secrets: impl Into<Secrets>) -> Self {
        self.set_account(Some(secrets.into()));
        self
    }

    /// Finds the inbox by the body's `inbox_id`, whatever the path: for whoever has one URL for all
    /// inboxes. The body is then received before it is hashed.
    #[must_use]
    pub fn by_body(self) -> Self {
        Self { by_path: false, ..self }
    }

    /// Gives an inbox its secrets, in the place of those it had.
    pub fn set(&self, inbox: impl Into<InboxId>, secrets: impl Into<Secrets>) {
        self.shared.inboxes.pin().insert(inbox.into(), Rotation::new(secrets.into()));
    }

    /// Gives an inbox a new secret, and takes those it had up to now for `overlap` more;
    /// `Duration::MAX` means until the next change. A rotation ends the one before.
    ///
    /// As [`set`](Self::set) where the inbox has none.
    #[expect(clippy::needless_pass_by_value, reason = "the keyring keeps it")]
    pub fn rotate(&self, inbox: impl Into<InboxId>, new: Secret, overlap: Duration) {
        self.shared.inboxes.pin().update_or_insert_with(
            inbox.into(),
            |held| held.rotate(new.clone(), overlap),
            || Rotation::new(new.clone().into()),
        );
    }

    /// Takes an inbox's secrets away, and tells whether it had any. The account's then sign for it,
    /// where there are any.
    pub fn remove(&self, inbox: impl AsRef<str>) -> bool {
        self.shared.inboxes.pin().remove(inbox.as_ref()).is_some()
    }

    /// Whether an inbox has secrets of its own.
    pub fn contains(&self, inbox: impl AsRef<str>) -> bool {
        self.shared.inboxes.pin().contains_key(inbox.as_ref())
    }

    /// Replaces the account's secrets; none means that only inboxes' own secrets sign.
    pub fn set_account(&self, secrets: Option<Secrets>) {
        *self.shared.account.write().unwrap_or_else(PoisonError::into_inner) =
            secrets.map(Rotation::new);
    }

    /// As [`rotate`](Self::rotate), for the account.
    pub fn rotate_account(&self, new: Secret, overlap: Duration) {
        let mut account = self.shared.account.write().unwrap_or_else(PoisonError::into_inner);
        *account = Some(match &*account {
            Some(held) => held.rotate(new, overlap),
            None => Rotation::new(new.into()),
        });
    }

    fn account(&self) -> Option<Secrets> {
        let account = self.shared.account.read().unwrap_or_else(PoisonError::into_inner);
        account.as_ref().map(|held| held.secrets().clone())
    }

    fn own(&self, inbox: &InboxId) -> Option<Secrets> {
        self.shared.inboxes.pin().get(inbox).map(|held| held.secrets().clone())
    }
}

impl Default for InboxKeyring {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyring for InboxKeyring {
    type Future = Ready<Result<Keys, BoxError>>;

    fn scope(&self, request: &Parts) -> Scope {
        match last_segment(request.uri.path()) {
            _ if !self.by_path => Scope::Body,
            Some(inbox) if self.contains(&inbox) => Scope::Inbox(inbox),
            _ => Scope::Account,
        }
    }

    fn keys(&self, inbox: Option<InboxId>) -> Self::Future {
        let own = inbox.and_then(|id| self.own(&id).map(|secrets| Keys::inbox(id, secrets)));
        let keys = own.or_else(|| self.account().map(Keys::account));
        ready(Ok(keys.unwrap_or_else(Keys::nobody)))
    }

    fn account_signs_for(&self, inbox: &InboxId) -> bool {
        !self.contains(inbox)
    }
}

/// How many secrets there are, and none of them.
impl fmt::Debug for InboxKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxKeyring")
            .field("inboxes", &self.shared.inboxes.len())
            .field("account", &self.account())
            .field("by_path", &self.by_path)
            .finish()
    }
}

/// Frameworks strip what stands before it, in nested routes; the last segment stays.
fn last_segment(path: &str) -> Option<InboxId> {
    let segment = path.rsplit('/').next().filter(|segment| !segment.is_empty())?;
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(InboxId::from(&*text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_is_decoded_after_it_is_cut() {
        let segment = |path| last_segment(path).map(|id| id.to_string());
        assert_eq!(segment("/webhooks/inb_1").as_deref(), Some("inb_1"));
        assert_eq!(segment("/inb_1").as_deref(), Some("inb_1"));
        assert_eq!(segment("/webhooks/a%2Fb%20c").as_deref(), Some("a/b c"));
        for path in ["/", "", "/webhooks/", "/webhooks/%ff"] {
            assert_eq!(segment(path), None, "{path}");
        }
    }

    #[test]
    fn debug_tells_no_secret_and_no_inbox() {
        let keyring = InboxKeyring::new().with_account(Secret::new("hush_account").unwrap());
        keyring.set("inb_1", Secret::new("hush_inbox").unwrap());
        let text = format!("{keyring:?}");
        assert!(!text.contains("hush") && text.contains("inboxes: 1"), "{text}");
    }
}
