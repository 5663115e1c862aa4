//! Checks that forged, stale and unsigned deliveries are rejected.

use bytes::Bytes;
use http::HeaderValue;
use openmail_tower::Secret;

use super::{
    finding::Findings,
    probe::{Probe, Prober, now},
};

const EVENT: &[u8] = br#"{"event":"setup.test"}"#;

/// Returns a delivery that is valid except that it is signed with another secret.
pub(super) fn forged(prober: &Prober) -> Probe {
    match Secret::new("deliver-check: not the secret") {
        Ok(secret) => Prober::signed_with(&secret, Bytes::from_static(EVENT), now()),
        Err(_) => Probe { signature: None, ..prober.test_event() },
    }
}

pub(super) async fn check(prober: &Prober, findings: &mut Findings) {
    let forgeries = forgeries(prober);
    let count = forgeries.len();
    let mut rejected = 0;
    for (what, probe) in forgeries {
        match prober.send(probe).await {
            Ok(answer) if answer.is_accepted() => {
                findings.wrong("forgery", format!("it accepts {what}"));
            }
            Ok(answer) if answer.status.is_server_error() => findings.wrong(
                "forgery",
                format!("{what} makes it fail ({answer}) instead of being rejected"),
            ),
            Ok(_) => rejected += 1,
            Err(error) => findings.wrong("forgery", format!("{what} makes it fail: {error}")),
        }
    }
    if rejected == count {
        let text = format!(
            "all {count} deliveries with a missing, wrong or stale signature or timestamp are rejected"
        );
        findings.good("forgery", text);
    }
}

fn forgeries(prober: &Prober) -> Vec<(&'static str, Probe)> {
    let event = || Bytes::from_static(EVENT);
    let good = prober.signed(event(), now());
    let text = good.signature.as_ref().and_then(|text| text.to_str().ok()).unwrap_or_default();
    let signature = |text: &str| {
        let signature = HeaderValue::from_bytes(text.as_bytes()).ok();
        Probe { signature, ..good.clone() }
    };
    let timestamp = |time| Probe { timestamp: Some(HeaderValue::from(time)), ..good.clone() };
    let last = if text.ends_with('0') { "1" } else { "0" };

    // What is signed is the timestamp, a dot and the body. Here the timestamp `old` and the body
    // "x." + event are signed, but the request carries the timestamp `old.x` and the event, which
    // gives the same signed bytes.
    let old = 1_000_000_000;
    let signed = prober.signed([b"x.", EVENT].concat().into(), old);
    let not_a_number = Probe {
        timestamp: HeaderValue::try_from(format!("{old}.x")).ok(),
        body: event(),
        ..signed
    };

    vec![
        ("a signature made with another secret", forged(prober)),
        (
            "a signature whose last digit is wrong",
            signature(&(text[..text.len() - 1].to_owned() + last)),
        ),
        ("the first half of a signature", signature(&text[..text.len() / 2])),
        ("a valid signature with more text after it", signature(&format!("{text}00"))),
        ("an empty signature", signature("")),
        ("a signature that is not hex", signature(&"z".repeat(64))),
        ("a signature that is not ASCII", signature("é")),
        ("a delivery without a signature", Probe { signature: None, ..good.clone() }),
        ("a delivery without a timestamp", Probe { timestamp: None, ..good.clone() }),
        (
            "a body other than the signed one",
            Probe { body: Bytes::from_static(b"{\"event\":\"setup.test\" }"), ..good.clone() },
        ),
        ("a timestamp other than the signed one", timestamp(now() + 1)),
        ("a timestamp ten minutes in the past", prober.signed(event(), now() - 600)),
        ("a timestamp ten minutes in the future", prober.signed(event(), now() + 600)),
        ("a timestamp that is not a number", not_a_number),
    ]
}
