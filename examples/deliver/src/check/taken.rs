//! Checks what must be accepted although it looks unusual.

use bytes::Bytes;
use openmail_tower::testing::TestEvent;

use super::{
    finding::Findings,
    probe::{Prober, now},
};

pub(super) async fn check(prober: &Prober, findings: &mut Findings) {
    match prober.send(prober.event(&TestEvent::new("deliver.news"))).await {
        Ok(answer) if answer.is_accepted() => {
            findings.good("new events", "an unknown event is accepted");
        }
        Ok(answer) => findings.wrong(
            "new events",
            format!("an unknown event is answered {answer}, but OpenMail will add events"),
        ),
        Err(error) => {
            findings.wrong("new events", format!("an unknown event makes it fail: {error}"))
        }
    }

    // Parsing this and writing it again never gives the same bytes.
    let odd = br#"{ "z": "\u00e9\/", "event" : "setup.test","a": 1.0e0 }"#;
    match prober.send(prober.signed(Bytes::from_static(odd), now())).await {
        Ok(answer) if answer.is_accepted() => {
            findings.good("raw body", "the signature is verified over the body's own bytes");
        }
        Ok(answer) => findings.wrong(
            "raw body",
            format!(
                "a signed body with unusual whitespace and escapes is answered {answer}: verify \
                 the bytes as they arrived, not JSON that was parsed and serialised again"
            ),
        ),
        Err(error) => findings.wrong("raw body", format!("unusual JSON makes it fail: {error}")),
    }
}
