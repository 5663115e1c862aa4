//! The verdict on a whole body: whose secret signed it, and whether that secret may sign for its
//! inbox.

use std::time::SystemTime;

use bytes::Bytes;

use crate::{
    event::{InboxId, InvalidPayload},
    seam::VerifiedEvent,
    webhook::{
        keyring::{Asked, Holder, Keyring, Keys, peek_inbox_id},
        signature::{Macs, Signature},
    },
};

use super::{
    budget::Reservation,
    head::Head,
    rejection::{Rejection, RejectionKind},
};

/// The MACs in progress, and whose events their secrets may sign.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) macs: Macs,
    signer: Signer,
}

/// Who signed a body, and who was expected to.
#[derive(Debug)]
pub(super) struct Signer {
    holder: Holder,
    asked: Asked,
}

impl Key {
    pub(super) fn new(keys: Keys, asked: Asked, head: &Head) -> Self {
        let Keys { secrets, holder } = keys;
        let macs = Macs::new(&secrets, head.timestamp_text.as_bytes());
        Self { macs, signer: Signer { holder, asked } }
    }

    /// Compares the signature with the MACs of the whole body.
    pub(super) fn verify(self, signature: &Signature) -> Result<Signer, Rejection> {
        let matches = self.macs.verify(signature);
        if !matches || self.signer.holder == Holder::Nobody {
            return Err(RejectionKind::SignatureMismatch.into());
        }
        Ok(self.signer)
    }
}

impl Signer {
    /// Returns the inbox that owns everything it signs.
    pub(super) fn inbox(&self) -> Option<InboxId> {
        self.holder.inbox().cloned()
    }

    /// Returns the event if the signer is allowed to sign it.
    pub(super) fn admit(
        &self,
        reading: Reading,
        keyring: &impl Keyring,
    ) -> Result<VerifiedEvent, Rejection> {
        let Reading { event, carried } = reading;
        let as_asked = self.asked.matches(carried.as_ref(), self.holder.inbox());
        if !as_asked || !self.holder.signs_for(carried.as_ref(), keyring) {
            return Err(RejectionKind::InboxMismatch.into());
        }
        event.map_err(|error| Rejection::because(RejectionKind::InvalidPayload, error))
    }
}

/// The contents of a signed body.
pub(super) struct Reading {
    event: Result<VerifiedEvent, InvalidPayload>,
    /// The inbox named in the body.
    carried: Option<InboxId>,
}

impl Reading {
    /// Reads a body whose signature was verified; must not be called with any other.
    pub(super) fn new(raw: &Bytes, timestamp: SystemTime, signed_for: Option<InboxId>) -> Self {
        let event = VerifiedEvent::parse_for(raw.clone(), timestamp, signed_for);
        let carried = match &event {
            Ok(event) => event.event().inbox_id().cloned(),
            Err(_) => peek_inbox_id(raw),
        };
        Self { event, carried }
    }
}

/// Attaches a share of the budget to a body. It is given back when the last clone of the bytes is
/// dropped. The event holds one of them.
pub(super) fn with_share(body: Bytes, share: Reservation) -> Bytes {
    struct Owned {
        body: Bytes,
        _share: Reservation,
    }

    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.body
        }
    }

    Bytes::from_owner(Owned { body, _share: share })
}
