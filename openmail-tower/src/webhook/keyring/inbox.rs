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

/// The secrets of individual inboxes and, optionally, of the account. They can be changed while in
/// use; clones share them.
///
/// # Who signs for whom
///
/// **An inbox with its own secrets accepts only those; every other inbox accepts the account's.**
/// This holds however the request names its inbox. The path or the body only decides which secrets
/// are tried: those of the inbox it names, or the account's if it names no inbox or one without
/// secrets of its own. The event is rejected with 401 unless those secrets may sign for it.
///
/// | signed with | event of | result |
/// |---|---|---|
/// | A's secret | A | accepted, if the request names A |
/// | A's secret | no inbox (`setup.test`, `pod.*`, unknown events) | accepted, and belongs to A, if the path names A; with [`by_body`](Self::by_body), 401 |
/// | A's secret | B | 401 |
/// | the account's | an inbox without its own secret, or no inbox | accepted, unless the path names an inbox with its own secret |
/// | the account's | A | 401 |
/// | any | an unknown inbox, with no account secret set | 401 |
///
/// # How to assign secrets to tenants
///
/// - **Give an inbox its own secret if its tenant can see the secret that signs its events.** Anyone
///   who holds a webhook's secret can impersonate OpenMail for everything that secret signs for. So
///   a tenant that runs its own receiver, or can see its webhook's settings, must only ever hold the
///   secret of its own inbox. The account's secret signs for every inbox that has none of its own:
///   keep it with the operator.
/// - **Give each inbox its own URL, `/webhooks/{inbox_id}`.** OpenMail signs with the secret that
///   belongs to the URL. With the inbox in the path, the secrets are known before the body arrives,
///   and the body is hashed as it arrives. Use [`by_body`](Self::by_body) only if all inboxes must
///   share one URL.
/// - **Never use one secret for two inboxes.** Anyone who can see it for one of them could then
///   sign for the other.
/// - **Add a new secret here as soon as OpenMail creates it, and keep the old one for a while.**
///   OpenMail signs with the new secret from then on, and an event that is rejected five times is
///   lost. So [`rotate`](Self::rotate) at once, with an overlap of at least 10 min, since OpenMail
///   retries an event for about 7.5 min. When an inbox moves from the account's webhook to its own,
///   [`set`](Self::set) its secret once OpenMail delivers there: from then on, the account's secret
///   no longer signs for it.
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
/// // At any later time, from any thread:
/// keyring.rotate("inb_support", Secret::new("whsec_next")?, Duration::from_secs(900));
/// keyring.remove("inb_support");
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
///
/// # What a stranger can learn
///
/// A request for an unknown inbox is hashed and answered like one with a wrong signature. Timing
/// reveals two things. While an inbox has two secrets, each body for it is hashed twice. And a
/// lookup that finds an inbox takes 1 to 23 ns longer than one that does not, depending on what is
/// in the processor's cache. This is not equalised, since it is far below what the time of an HTTP
/// response can show.
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
    /// Creates a keyring without secrets, which accepts nothing. The inbox is named by the last
    /// segment of the path.
    pub fn new() -> Self {
        let shared = Shared { inboxes: InboxMap::default(), account: RwLock::new(None) };
        Self { shared: Arc::new(shared), by_path: true }
    }

    /// Also accepts the account's secrets, for every inbox without its own. Default: none.
    #[must_use]
    pub fn with_account(self, secrets: impl Into<Secrets>) -> Self {
        self.set_account(Some(secrets.into()));
        self
    }

    /// Finds the inbox by the body's `inbox_id` instead of the path, so that all inboxes can share
    /// one URL. The body is then received before it is hashed. Default: the last segment of the
    /// path names the inbox.
    #[must_use]
    pub fn by_body(self) -> Self {
        Self { by_path: false, ..self }
    }

    /// Sets the secrets of an inbox, replacing those it had.
    pub fn set(&self, inbox: impl Into<InboxId>, secrets: impl Into<Secrets>) {
        self.shared.inboxes.pin().insert(inbox.into(), Rotation::new(secrets.into()));
    }

    /// Gives an inbox a new secret, and also accepts its previous ones for `overlap`;
    /// `Duration::MAX` means until the next change. A new rotation ends the previous one.
    ///
    /// If the inbox has no secrets, this is the same as [`set`](Self::set).
    #[expect(clippy::needless_pass_by_value, reason = "the keyring keeps it")]
    pub fn rotate(&self, inbox: impl Into<InboxId>, new: Secret, overlap: Duration) {
        self.shared.inboxes.pin().update_or_insert_with(
            inbox.into(),
            |held| held.rotate(new.clone(), overlap),
            || Rotation::new(new.clone().into()),
        );
    }

    /// Removes an inbox's secrets. Returns whether it had any. From then on the account's secrets
    /// sign for it, if there are any.
    pub fn remove(&self, inbox: impl AsRef<str>) -> bool {
        self.shared.inboxes.pin().remove(inbox.as_ref()).is_some()
    }

    /// Returns whether an inbox has its own secrets.
    pub fn contains(&self, inbox: impl AsRef<str>) -> bool {
        self.shared.inboxes.pin().contains_key(inbox.as_ref())
    }

    /// Replaces the account's secrets. With `None`, only the inboxes' own secrets sign.
    pub fn set_account(&self, secrets: Option<Secrets>) {
        *self.shared.account.write().unwrap_or_else(PoisonError::into_inner) =
            secrets.map(Rotation::new);
    }

    /// Rotates the account's secret, as [`rotate`](Self::rotate) does for an inbox.
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

/// Shows the number of inboxes that have secrets, but never a secret.
impl fmt::Debug for InboxKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxKeyring")
            .field("inboxes", &self.shared.inboxes.len())
            .field("account", &self.account())
            .field("by_path", &self.by_path)
            .finish()
    }
}

/// Returns the last segment of the path, decoded. A nested router strips only the prefix at which
/// it is mounted, so the segment is there unless the prefix contains it.
fn last_segment(path: &str) -> Option<InboxId> {
    let segment = path.rsplit('/').next().filter(|segment| !segment.is_empty())?;
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(InboxId::from(&*text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_segment_is_split_off_before_decoding() {
        let segment = |path| last_segment(path).map(|id| id.to_string());
        assert_eq!(segment("/webhooks/inb_1").as_deref(), Some("inb_1"));
        assert_eq!(segment("/inb_1").as_deref(), Some("inb_1"));
        assert_eq!(segment("/webhooks/a%2Fb%20c").as_deref(), Some("a/b c"));
        for path in ["/", "", "/webhooks/", "/webhooks/%ff"] {
            assert_eq!(segment(path), None, "{path}");
        }
    }

    #[test]
    fn debug_shows_no_secret_and_no_inbox() {
        let keyring = InboxKeyring::new().with_account(Secret::new("hush_account").unwrap());
        keyring.set("inb_1", Secret::new("hush_inbox").unwrap());
        let text = format!("{keyring:?}");
        assert!(!text.contains("hush") && !text.contains("inb_1"), "{text}");
        assert!(text.contains("inboxes: 1"), "{text}");
    }
}
