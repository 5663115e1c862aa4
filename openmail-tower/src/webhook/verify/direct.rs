//! Verification for programs without tower: the same checks in the same order.

use std::{future::poll_fn, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use tokio::time::Instant;

use crate::{
    event::weight,
    seam::{BoxError, VerifiedEvent, within},
    webhook::{
        keyring::{Asked, Keyring, Keys, Scope, peek_inbox_id},
        secret::Secrets,
        signature::DEFAULT_TOLERANCE,
    },
};

use super::{
    future::may_wait,
    head::{Head, check_method},
    layer::{DEFAULT_BODY_LIMIT, VerifyLayer},
    receive::ROOM_TIMEOUT,
    rejection::{Rejection, RejectionKind},
    verdict::{Key, Signer, with_share},
};

impl VerifiedEvent {
    /// Verifies one delivery, for programs without tower, such as a cloud function or another
    /// framework.
    ///
    /// Checks the headers, the timestamp against the system's clock (300 s in either direction),
    /// the size (at most 8 MiB), the signature and the event, in the same order as
    /// [`Verify`](crate::webhook::Verify). How long the body takes to arrive, and how much memory
    /// it uses, is up to the caller. For other limits and for secrets of individual inboxes, see
    /// [`VerifyLayer::verify`].
    ///
    /// ```
    /// use http::HeaderMap;
    /// use openmail_tower::{Secret, Secrets, VerifiedEvent, webhook::signature};
    ///
    /// let secrets = Secrets::new(Secret::new("whsec_16xf3d4ngxcpjd2kql81b319h6rew2on")?);
    /// # let secret = Secret::new("whsec_16xf3d4ngxcpjd2kql81b319h6rew2on")?;
    /// # let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    /// let body = r#"{"event":"setup.test"}"#;
    /// # let signature = signature::sign(&secret, now, body.as_bytes());
    /// let mut headers = HeaderMap::new();
    /// headers.insert("x-timestamp", now.into());
    /// headers.insert("x-signature", signature.parse()?);
    ///
    /// let event = VerifiedEvent::verify(&secrets, &headers, body)?;
    /// assert_eq!(event.kind().as_str(), "setup.test");
    ///
    /// let rejection = VerifiedEvent::verify(&secrets, &headers, "{}").unwrap_err();
    /// assert_eq!((rejection.status().as_u16(), rejection.code()), (401, "signature_mismatch"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`RejectionKind`]. Use [`to_response`](Rejection::to_response) to answer.
    pub fn verify(
        secrets: &Secrets,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Self, Rejection> {
        let (body, now, arrival) = (body.into(), SystemTime::now(), Instant::now());
        let head = Head::check(headers, body.len(), now, DEFAULT_TOLERANCE, DEFAULT_BODY_LIMIT)?;
        let signer = signer(&head, Keys::account(secrets.clone()), Asked::Account, &body)?;
        let event = signer.read(&body, head.timestamp.time(), secrets)?;
        Ok(event.with_arrival(arrival))
    }
}

impl<K: Keyring> VerifyLayer<K> {
    /// Verifies one delivery as this layer does, for programs without tower. `request` is the head
    /// of the request, `body` its whole body.
    ///
    /// The event counts against the layer's budget for as long as it lives. Nothing is logged, and
    /// neither the delivery nor a rejection is counted. Must run on a tokio runtime with time
    /// enabled.
    ///
    /// ```
    /// use http::request::Parts;
    /// use openmail_tower::{Secret, VerifiedEvent, VerifyLayer, webhook::{InboxKeyring, Rejection}};
    ///
    /// async fn receive(
    ///     layer: &VerifyLayer<InboxKeyring>,
    ///     request: &Parts,
    ///     body: Vec<u8>,
    /// ) -> Result<VerifiedEvent, Rejection> {
    ///     layer.verify(request, body).await
    /// }
    ///
    /// let keyring = InboxKeyring::new().with_account(Secret::new("whsec_account_0123456789")?);
    /// let layer = VerifyLayer::with_keyring(keyring);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`RejectionKind`].
    pub async fn verify(
        &self,
        request: &Parts,
        body: impl Into<Bytes>,
    ) -> Result<VerifiedEvent, Rejection> {
        let (body, settings, arrival) = (body.into(), self.settings(), Instant::now());
        check_method(&request.method)?;
        let now = (settings.clock)();
        let limit = settings.body_limit;
        let head = Head::check(&request.headers, body.len(), now, settings.tolerance, limit)?;
        let asked = match settings.keyring.scope(request) {
            Scope::Account => Asked::Account,
            Scope::Inbox(inbox) => Asked::Head(inbox),
            Scope::Body => Asked::Body(peek_inbox_id(&body)),
        };
        let keys = settings.keyring.keys(asked.inbox());
        let keys = within(settings.keys_timeout, keys, keys_late).await;
        let keys = keys.map_err(|error| Rejection::because(RejectionKind::Unavailable, error))?;
        let signer = signer(&head, keys, asked, &body)?;
        let mut share = settings.budget.reservation(Some(body.len()));
        share.set_verified();
        let weight = weight(&body);
        let total = body.len() + weight;
        let overloaded = || Rejection::from(RejectionKind::Overloaded);
        let room = async {
            let has_room = if may_wait(body.len(), weight, total) {
                poll_fn(|cx| share.poll_grow(cx, total)).await
            } else {
                share.try_grow(total)
            };
            if has_room { Ok(()) } else { Err(overloaded()) }
        };
        within(ROOM_TIMEOUT, room, overloaded).await?;
        let body = with_share(body, share);
        let event = signer.read(&body, head.timestamp.time(), &settings.keyring)?;
        Ok(event.with_arrival(arrival))
    }
}

fn signer(head: &Head, keys: Keys, asked: Asked, body: &[u8]) -> Result<Signer, Rejection> {
    let mut key = Key::new(keys, asked, head);
    key.macs.update(body);
    key.verify(&head.signature)
}

/// Creates the error of a keyring that did not answer in time.
pub(super) fn keys_late() -> BoxError {
    BoxError::from("the secrets were not found in time")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::webhook::signature::sign;

    #[test]
    fn decoy_secret_of_an_unknown_inbox_verifies_nothing() {
        let body = br#"{"event":"setup.test"}"#;
        let decoy = Keys::nobody().secrets;
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let secret = decoy.iter().next().expect("one secret");
        let headers =
            [("x-timestamp", seconds.to_string()), ("x-signature", sign(secret, seconds, body))];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers = HeaderMap::from_iter(headers);
        let head = Head::check(&headers, body.len(), now, DEFAULT_TOLERANCE, DEFAULT_BODY_LIMIT);
        let verified = |keys| signer(head.as_ref().unwrap(), keys, Asked::Account, body);
        verified(Keys::account(decoy.clone())).expect("the signature is right");
        let error = verified(Keys::nobody()).unwrap_err();
        assert_eq!(error.kind(), RejectionKind::SignatureMismatch);
    }
}
