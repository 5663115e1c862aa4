//! The verdict on a whole body: whose secret signed it, and whether that secret may sign for the
//! inbox that the body names.

use std::time::SystemTime;

use bytes::Bytes;

use crate::{
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
    /// Reads a body that this signer has signed; must not be called with any other body. Returns
    /// the event if the signer is allowed to sign it.
    pub(super) fn read(
        &self,
        raw: &Bytes,
        timestamp: SystemTime,
        keyring: &impl Keyring,
    ) -> Result<VerifiedEvent, Rejection> {
        let own = self.holder.inbox();
        let event = VerifiedEvent::parse_for(raw.clone(), timestamp, own.cloned());
        let peeked;
        let carried = match &event {
            Ok(event) => event.event().inbox_id(),
            Err(_) => {
                peeked = peek_inbox_id(raw);
                peeked.as_ref()
            }
        };
        if !self.asked.matches(carried, own) || !self.holder.signs_for(carried, keyring) {
            return Err(RejectionKind::InboxMismatch.into());
        }
        event.map_err(|error| Rejection::because(RejectionKind::InvalidPayload, error))
    }
}

/// Attaches a share of the budget to a body. The share is given back when the last clone of the
/// bytes is dropped; the event holds one.
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
