//! Checks whether the endpoint exists and accepts signed events.

use http::{StatusCode, header::LOCATION};

use super::{
    finding::Findings,
    forgery::forged,
    probe::{Answer, Prober, Silence, now},
};

/// Maximum difference between two clocks that is not reported, in seconds.
const SLACK: i64 = 30;

/// Checks whether a signed event is accepted at all.
pub(super) async fn check(prober: &Prober, findings: &mut Findings) -> bool {
    let answer = match prober.send(prober.test_event()).await {
        Ok(answer) => answer,
        Err(Silence::Late) => {
            let text = "there is no response within 15 s, and OpenMail waits no longer: accept the \
                        event first, and handle it afterwards";
            findings.wrong("slow", text);
            return false;
        }
        Err(Silence::Failed(error)) => {
            findings.wrong("reachable", format!("it cannot be reached: {error}"));
            return false;
        }
    };
    match answer.status.as_u16() {
        200..300 => {}
        300..400 => {
            let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.unwrap_or("nowhere");
            let text = format!("it redirects to {to}: enter that URL in OpenMail instead");
            findings.wrong("reachable", text);
            return false;
        }
        404 if answer.code.as_deref() == Some("unrouted") => {
            let text = "no handler takes a signed setup.test (404 unrouted), so OpenMail's \"Test \
                        webhook\" fails: add a fallback";
            findings.wrong("setup.test", text);
            return false;
        }
        404 | 405 | 501 => {
            findings.wrong("method", no_post(prober, &answer).await);
            return false;
        }
        _ => {
            let (check, text) = rejected(prober, &answer).await;
            findings.wrong(check, text);
            return false;
        }
    }
    findings.good("reachable", format!("a signed setup.test is answered {answer}"));
    match answer.ahead() {
        Some(ahead) if ahead.abs() > SLACK => {
            let text = format!(
                "according to its Date header, its clock is {}; beyond 300 s, it would reject \
                 every delivery",
                off(ahead)
            );
            findings.unclear("clock", text);
        }
        Some(_) => findings.good("clock", "its clock and this machine's agree"),
        None => {}
    }
    true
}

async fn no_post(prober: &Prober, post: &Answer) -> String {
    match prober.get().await {
        Ok(get) if get.status == StatusCode::NOT_FOUND || get.status == post.status => {
            format!("nothing is at this path: it answers GET with {get} and POST with {post}")
        }
        Ok(get) => format!(
            "it answers GET with {get} but POST with {post}: OpenMail delivers by POST, so add a \
             route for POST at this path"
        ),
        Err(_) => format!("it answers POST with {post}"),
    }
}

/// Finds out why a signed event is rejected.
async fn rejected(prober: &Prober, answer: &Answer) -> (&'static str, String) {
    if let Some(ahead) = answer.ahead().filter(|ahead| ahead.abs() > SLACK) {
        let theirs = now().saturating_add_signed(ahead);
        let retry = prober.signed(prober.test_event().body, theirs);
        if prober.send(retry).await.is_ok_and(|answer| answer.is_accepted()) {
            let text = format!("the clock of its machine is {}", off(ahead));
            return ("clock", text);
        }
    }
    if answer.code.as_deref() == Some("stale_timestamp") {
        let text = "the endpoint rejects the timestamp of a new delivery as stale: the clock of its \
                    machine, or of this one, is off by more than 300 s";
        return ("clock", text.to_owned());
    }
    let same = match prober.send(forged(prober)).await {
        Ok(forged) => forged.status == answer.status && forged.code == answer.code,
        Err(_) => false,
    };
    if same && answer.status.is_client_error() {
        let text = format!(
            "wrong secret: a delivery signed with the given secret is answered {answer}, the same \
             as a forged one; copy the secret from OpenMail's webhook settings again, without \
             spaces around it"
        );
        return ("secret", text);
    }
    let text = format!(
        "it answers a signed setup.test with {answer}: OpenMail's \"Test webhook\" then reports it as \
         broken"
    );
    ("setup.test", text)
}

fn off(ahead: i64) -> String {
    format!("{} s {}", ahead.unsigned_abs(), if ahead > 0 { "ahead" } else { "behind" })
}
