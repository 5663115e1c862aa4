//! Checks that rejections wait for the body.
//!
//! If the endpoint answers and closes the connection while a proxy is still writing the body, the
//! proxy takes that for a failure. nginx then answers 502 and, if it has other endpoints, sends
//! this one nothing for 10 s.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use openmail_tower::testing::TestEvent;

use super::{
    finding::Findings,
    probe::{Held, Probe, Prober, now},
};

/// A body size that every endpoint needs to accept, in bytes.
const SMALL: usize = 1 << 20;
/// A body size that no endpoint needs to accept, in bytes.
const LARGE: usize = 9 << 20;

/// The minimum and the maximum time for which the last byte is held back.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(5);

const ADVICE: &str = "before the endpoint has read the body. A proxy turns that into a 502, and \
                      nginx, if it has other endpoints, then sends this one nothing for 10 s. \
                      Read the rest of the body, up to a limit, before answering";

pub(super) async fn check(prober: &Prober, findings: &mut Findings) {
    // A slow endpoint also takes longer to reject a delivery, so the pause is longer for it.
    let usual = prober.send(prober.test_event()).await.map_or(SHORTEST, |it| it.elapsed);
    let pause = (usual * 4).clamp(SHORTEST, LONGEST);
    let hold = async |method: Method, probe: Probe| prober.hold(method, probe, pause).await;

    let good = prober.signed(body(SMALL), now());
    let unsigned = Probe { signature: None, ..good.clone() };
    let undated = Probe { timestamp: None, ..good.clone() };
    let malformed = Probe { signature: "malformed".try_into().ok(), ..good.clone() };
    let stale = prober.signed(body(SMALL), now() - 600);
    let (unsigned, undated, malformed, stale, put, large) = tokio::join!(
        hold(Method::POST, unsigned),
        hold(Method::POST, undated),
        hold(Method::POST, malformed),
        hold(Method::POST, stale),
        hold(Method::PUT, good),
        hold(Method::POST, prober.signed(body(LARGE), now())),
    );
    let mut waits = true;
    for (what, held) in [
        ("a delivery without a signature", unsigned),
        ("a delivery without a timestamp", undated),
        ("a malformed signature", malformed),
        ("a stale delivery", stale),
    ] {
        if let Some(told) = early(held) {
            waits = false;
            findings.wrong("early", format!("{what} is answered {told} {ADVICE}"));
        }
    }
    // Frameworks often reject these before any code of the endpoint runs.
    for (what, held) in [("a PUT", put), ("a body of 9 MiB", large)] {
        if let Some(told) = early(held) {
            waits = false;
            findings.unclear("early", format!("{what} is answered {told} {ADVICE}"));
        }
    }
    if waits {
        findings.good("early", "the endpoint reads the body before it rejects a delivery");
    }
}

/// Returns the response if it came before the body was complete.
fn early(held: Held) -> Option<String> {
    let Held { early, answer } = held;
    early.then(|| match answer {
        Ok(answer) => answer.to_string(),
        Err(error) => format!("by hanging up ({error})"),
    })
}

fn body(size: usize) -> Bytes {
    TestEvent::new("setup.test").field("padding", "x".repeat(size)).to_bytes()
}
