//! Hostile mail: what the guard does with it, and what a model sees of it.

mod mails;

use std::sync::{Arc, Mutex};

use openmail_tower::{
    EventRouter, Message, Outcome,
    layers::guard::{GuardLayer, Rule},
    openmail_handler,
    reply::Reply,
    testing::TestEvent,
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use Verdict::{Mute, Pass, Refuse};
use mails::{Hostile, own_and_robots, senders, texts};

/// The guard's verdict: the mail passes, or a rule mutes or refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Mute(Rule),
    Refuse(Rule),
}

#[openmail_handler(event = "message.received")]
async fn answer() -> Reply {
    Reply::text("Thank you.")
}

/// A guard that knows one of our addresses. Each guard has its own counts, so the mails are not
/// taken for a flood.
fn open() -> GuardLayer {
    GuardLayer::default().own_addresses(["agent@us.example".parse().unwrap()])
}

/// The same guard, with a list of allowed senders.
fn listed() -> GuardLayer {
    open().allow(["ada@example.org", "b\u{fc}cher.example", "*.partner.example"]).unwrap()
}

async fn judged(guard: GuardLayer, mail: &TestEvent) -> Verdict {
    let fired = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&fired);
    let guard = guard.on_action(move |report| {
        *hook.lock().unwrap() = Some(report.rule);
    });
    let outcome =
        guard.layer(EventRouter::new().handler(answer)).oneshot(mail.verified()).await.unwrap();
    let rule = *fired.lock().unwrap();
    match (outcome, rule) {
        (Outcome::Replies(_), None) => Pass,
        (Outcome::Muted { rule }, Some(fired)) if rule == fired.as_str() => Mute(fired),
        (Outcome::Refused { rule }, Some(fired)) if rule == fired.as_str() => Refuse(fired),
        other => panic!("{other:?}"),
    }
}

/// Returns the fence's own lines, without their marker.
fn fields(shown: &str, marker: &str) -> Vec<String> {
    let own = format!("[{marker} ");
    let lines = shown.lines().filter_map(|line| line.strip_prefix(&own));
    lines.map(ToOwned::to_owned).collect()
}

fn check_fence(hostile: &Hostile, message: &Message) {
    let what = hostile.what;
    let fenced = message.fenced();
    let (marker, shown) = (fenced.marker().to_owned(), fenced.to_string());
    let fields = fields(&shown, &marker);
    assert_eq!(
        shown.matches(&marker).count(),
        fields.len(),
        "{what}: only the fence contains the marker"
    );
    let kinds: Vec<&str> = fields
        .iter()
        .map(|field| field.split_once(']').expect("a bracket").0)
        .filter(|kind| !kind.starts_with("cut"))
        .map(|kind| kind.split(' ').next().unwrap_or_default())
        .collect();
    let expected = ["mail", "sender", "name", "date", "subject", "text", "attachment", "mail"];
    let mut rest = expected.iter();
    assert!(kinds.iter().all(|kind| rest.any(|it| it == kind)), "{what}: {kinds:?}");
    assert!(kinds.first() == Some(&"mail") && kinds.last() == Some(&"mail"), "{what}: {kinds:?}");
    assert!(shown.ends_with(&format!("[{marker} mail ends]")), "{what}");
    assert!(fields.contains(&format!("sender] {}", hostile.sender)), "{what}: {fields:?}");
    let invisible = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{ad}' | '\u{115f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{3164}')
            || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
    };
    assert!(!shown.contains(invisible), "{what}: the fence contains no invisible character");
    for line in hostile.shows {
        let is_shown = shown.lines().any(|it| match line.strip_prefix(']') {
            Some(_) => it.contains(line),
            None => it == *line || (line.len() < 5 && it.contains(line)),
        });
        assert!(is_shown, "{what}: {line:?}");
    }
    assert!(shown.len() < 4 << 20, "{what}");
}

#[tokio::test]
async fn each_hostile_mail_is_judged_and_fenced() {
    let all: Vec<Hostile> = [senders(), own_and_robots(), texts()].into_iter().flatten().collect();
    assert!(all.len() >= 60, "{}", all.len());
    let mut wrong = Vec::new();
    for hostile in &all {
        for (guard, expected) in [(open(), hostile.open), (listed(), hostile.listed)] {
            let verdict = judged(guard, &hostile.mail).await;
            if verdict != expected {
                wrong.push(format!("{}: {verdict:?}, not {expected:?}", hostile.what));
            }
        }
        let event = hostile.mail.verified();
        check_fence(hostile, &event.event().message_received().unwrap().message);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} hostile mails", all.len());
}

/// A mail can quote the fence of an earlier mail, but it does not know its own marker.
#[test]
fn quoted_fence_does_not_end_the_fence() {
    let message = |text: &str| -> Message {
        let json: Value = json!({"id": "msg_1", "from": "eve@evil.example", "body_text": text});
        serde_json::from_value(json).unwrap()
    };
    let first = message("Hello").fenced().to_string();
    let second = message(&first);
    let fenced = second.fenced();
    let shown = fenced.to_string();
    assert_eq!(fields(&shown, fenced.marker()).iter().filter(|it| *it == "mail ends]").count(), 1);
    assert!(shown.contains(&first), "it is shown as text");
}
