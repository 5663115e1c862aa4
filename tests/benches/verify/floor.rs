//! The floor: one HMAC with a prepared key, and one pass of `serde_json`. With a faster parser, a
//! side can be faster than the floor.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use openmail_tests::{NOW, SECRET};
use openmail_tower::MessageReceived;
use sha2::Sha256;

pub(crate) struct Floor {
    key: Hmac<Sha256>,
    timestamp: String,
    signature: Vec<u8>,
    body: Bytes,
}

impl Floor {
    pub(crate) fn new(body: &Bytes) -> Self {
        let key = Hmac::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
        let mut floor =
            Self { key, timestamp: NOW.to_string(), signature: Vec::new(), body: body.clone() };
        floor.signature = floor.signed().finalize().into_bytes().to_vec();
        floor
    }

    fn signed(&self) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(self.timestamp.as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        mac
    }

    pub(crate) fn mac(&self) {
        self.signed().verify_slice(&self.signature).expect("the signature");
    }

    pub(crate) fn parse(&self) -> MessageReceived {
        serde_json::from_slice(&self.body).expect("an event")
    }

    pub(crate) fn run(&self) -> MessageReceived {
        self.mac();
        self.parse()
    }
}
