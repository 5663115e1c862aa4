//! Checks how fast a mail is accepted, and whether a second delivery of it is recognised.

use std::time::Duration;

use openmail_tower::testing::TestEvent;

use super::{
    finding::Findings,
    probe::{Answer, Prober, Silence},
};

/// A response slower than this may be too late on a bad day.
const SLOW: Duration = Duration::from_secs(8);
/// If the times of a mail and of a test event differ by less than this, they do not show whether a
/// mail is handled twice.
const TELLING: Duration = Duration::from_millis(100);

const ROUNDS: usize = 3;

pub(super) async fn check(prober: &Prober, inbox: &str, findings: &mut Findings) {
    let mail = mail(inbox);
    // Both at once: an endpoint that deduplicates does not handle both.
    let (one, other) = tokio::join!(
        prober.send(prober.event(&mail)),
        prober.send(prober.event(&mail.clone().attempt(2))),
    );
    let conflict = |it: &Result<Answer, _>| it.as_ref().is_ok_and(|it| it.status == 409);
    let (deduplicates, first) = match (conflict(&one), conflict(&other)) {
        (true, true) => {
            let text = "two concurrent deliveries of one mail are both answered 409";
            return findings.wrong("duplicates", text);
        }
        (true, false) => (true, other),
        (false, true) => (true, one),
        (false, false) => (false, one),
    };
    let time = match first {
        Ok(answer) if answer.is_accepted() => answer.elapsed,
        Ok(answer) => {
            let text = format!("a mail for the inbox {inbox} is answered {answer} (see --inbox)");
            return findings.wrong("mail", text);
        }
        Err(Silence::Late) => {
            let text = "a mail is not answered within 15 s; OpenMail then hangs up and delivers \
                        it again: accept the event first, and handle it afterwards";
            return findings.wrong("slow", text);
        }
        Err(Silence::Failed(error)) => {
            return findings.wrong("mail", format!("a mail makes it fail: {error}"));
        }
    };
    let shown = time.as_millis();
    if time > SLOW {
        let text = format!("a mail takes {shown} ms, and OpenMail waits for no more than 15 s");
        findings.unclear("slow", text);
    } else {
        findings.good("slow", format!("a mail is answered within {shown} ms"));
    }
    if deduplicates {
        let text = "of two concurrent deliveries of one mail, only one is handled; the other is \
                    answered 409";
        return findings.good("duplicates", text);
    }
    repeat(prober, inbox, findings).await;
}

/// Delivers a mail twice, one after the other: an endpoint that recognises the mail does no work
/// the second time. A test event shows how long a request without work takes.
async fn repeat(prober: &Prober, inbox: &str, findings: &mut Findings) {
    let [mut idle, mut first, mut again] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let mail = mail(inbox);
        for (what, times, probe) in [
            ("a test event", &mut idle, prober.test_event()),
            ("a mail", &mut first, prober.event(&mail)),
            ("a mail's second delivery", &mut again, prober.event(&mail.clone().attempt(2))),
        ] {
            let told = match prober.send(probe).await {
                Ok(answer) if answer.is_accepted() => {
                    times.push(answer.elapsed);
                    continue;
                }
                Ok(answer) => answer.to_string(),
                Err(error) => error.to_string(),
            };
            return findings.wrong("duplicates", format!("{what} is not accepted: {told}"));
        }
    }
    let telling = first.iter().min().zip(idle.iter().max());
    let telling = telling.is_some_and(|(first, idle)| first.saturating_sub(*idle) >= TELLING);
    let [idle, first, again] = [idle, first, again].map(median);
    let shown = format!(
        "a first delivery took {} ms, a second {} ms, a test event {} ms",
        first.as_millis(),
        again.as_millis(),
        idle.as_millis()
    );
    if !telling {
        let text = format!("too quick to tell whether a mail is handled twice: {shown}");
        findings.unclear("duplicates", text);
    } else if again.saturating_sub(idle) > first.saturating_sub(idle) / 2 {
        let text = format!(
            "it does not deduplicate: a second delivery of a mail takes about as long as the first \
             ({shown}); OpenMail may deliver an event twice, so remember its event_id"
        );
        findings.wrong("duplicates", text);
    } else {
        findings.good("duplicates", format!("a mail is not handled twice: {shown}"));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A mail that no agent should answer.
fn mail(inbox: &str) -> TestEvent {
    TestEvent::message_received()
        .inbox(inbox)
        .from("deliver check <deliver-check@example.com>")
        .subject("A test of this webhook")
        .text("Sent by `deliver check`. Nobody waits for an answer.")
        .message_field("category", "automated")
        .message_field("auto_replyable", false)
}
