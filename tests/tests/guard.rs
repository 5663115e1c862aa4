//! The guard: which mails run, which are answered, and which wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use openmail_tower::{
    Endpoint, EventRouter, HandlerError, HandlerErrorKind, Message, MessageReceived, Outcome,
    Secret, Secrets, VerifiedEvent, VerifyLayer,
    handler::State,
    layers::guard::{Action, Guard, GuardLayer, Guarded, Pause, Rate, Rule},
    openmail_handler,
    reply::Reply,
    testing::TestEvent,
};
use tower::{Layer, ServiceExt};

#[derive(Clone, Default)]
struct Runs(Arc<AtomicU32>);

impl Runs {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[openmail_handler(event = "message.received")]
async fn answer(State(Runs(runs)): State<Runs>) -> Reply {
    runs.fetch_add(1, Ordering::Relaxed);
    Reply::text("Thank you.")
}

fn guarded(guard: &GuardLayer) -> (Guard<EventRouter>, Runs) {
    let runs = Runs::default();
    (guard.layer(EventRouter::new().handler(answer).with_state(runs.clone())), runs)
}

/// Returns a mail from a person. Each has a different text.
fn mail() -> TestEvent {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven"];
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) as usize;
    let word = |place: u32| words[(number / 8_usize.pow(place)) % 8];
    // A suffix for each place, so that no two texts have the same words.
    let text = format!("{}a {}b {}c {}d {}e", word(0), word(1), word(2), word(3), word(4));
    TestEvent::message_received().text(&text).from("Ada <ada@example.org>")
}

/// Runs a mail as a queue's worker does.
async fn run(guard: &Guard<EventRouter>, mail: &TestEvent) -> Result<Outcome, HandlerError> {
    let event = VerifiedEvent::from_stored(mail.verified().into_stored()).unwrap();
    guard.clone().oneshot(event.with_attempt(1)).await
}

fn rule(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Refused { rule } => ("refuse", rule),
        Outcome::Muted { rule } => ("mute", rule),
        Outcome::Replies(_) => ("pass", ""),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn by_default_spam_and_own_mail_are_refused_and_automated_mail_is_muted() {
    for (mail, expected) in [
        (mail(), ("pass", "")),
        (mail().message_field("verdict", "SPAM"), ("refuse", "verdict")),
        (mail().message_field("verdict", "malicious"), ("refuse", "verdict")),
        (mail().message_field("category", "Malicious"), ("refuse", "verdict")),
        (mail().message_field("auto_replyable", false), ("mute", "auto_reply")),
        (mail().message_field("category", "marketing"), ("mute", "auto_reply")),
        (mail().from("MAILER-DAEMON@example.org"), ("mute", "auto_reply")),
        (mail().from(""), ("mute", "auto_reply")),
        (
            mail().from("bot@x.example").message_field("to", "bot@x.example"),
            ("refuse", "own_address"),
        ),
    ] {
        let (guard, runs) = guarded(&GuardLayer::default());
        let outcome = run(&guard, &mail).await.unwrap();
        assert_eq!(rule(&outcome), expected, "{:?}", mail.json());
        assert_eq!(runs.count(), u32::from(expected.0 != "refuse"));
    }
}

#[tokio::test]
async fn rules_can_be_changed_and_switched_off() {
    let off =
        GuardLayer::default().on(Rule::Verdict, Action::Pass).on(Rule::AutoReply, Action::Pass);
    let (guard, _) = guarded(&off);
    let spam = mail().message_field("verdict", "spam");
    assert_eq!(rule(&run(&guard, &spam).await.unwrap()), ("pass", ""));
    let strict = GuardLayer::default().on(Rule::AutoReply, Action::Refuse);
    let (guard, runs) = guarded(&strict);
    let newsletter = mail().message_field("category", "marketing");
    assert_eq!(rule(&run(&guard, &newsletter).await.unwrap()), ("refuse", "auto_reply"));
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn events_without_a_mail_pass() {
    let (guard, _) = guarded(&GuardLayer::default().allow(["nobody.example"]).unwrap());
    for name in ["inbox.suspended", "setup.test", "thread.archived"] {
        let outcome = run(&guard, &TestEvent::new(name)).await.unwrap();
        assert_eq!(outcome, Outcome::Unrouted, "{name}");
    }
}

#[tokio::test]
async fn lists_match_only_the_senders_address() {
    let guard = GuardLayer::default()
        .allow(["ada@example.org", "bücher.example", "*.partner.example"])
        .unwrap()
        .block(["eve@mail.partner.example"])
        .unwrap();
    let (guard, _) = guarded(&guard);
    for from in [
        "ada@example.org",
        "ADA@EXAMPLE.ORG",
        "Anybody <ada@example.org>",
        "eve@evil.example <ada@example.org>",
        "x@bücher.example",
        "x@xn--bcher-kva.example",
        "x@mail.partner.example",
    ] {
        let outcome = run(&guard, &mail().from(from)).await.unwrap();
        assert_eq!(rule(&outcome), ("pass", ""), "{from}");
    }
    for from in [
        "eve@evil.example",
        "ada@example.org <eve@evil.example>",
        "\"ada@example.org\" <eve@evil.example>",
        "Ada <ada@example.org> <eve@evil.example>",
        "ada@example.org, eve@evil.example",
        "friends: ada@example.org, eve@evil.example;",
        "ada@exаmple.org",
        "x@bucher.example",
        "ada@example.org.evil.example",
        "x@partner.example",
        "x@evilpartner.example",
        "eve@mail.partner.example",
        "ada@example.org\u{0}@evil.example",
        "",
    ] {
        let outcome = run(&guard, &mail().from(from)).await.unwrap();
        assert_eq!(rule(&outcome), ("refuse", "sender"), "{from}");
    }
}

#[tokio::test]
async fn mail_from_own_addresses_is_refused() {
    let ours = ["bot@us.example".parse().unwrap()];
    let (guard, runs) = guarded(&GuardLayer::default().own_addresses(ours));
    let outcome = run(&guard, &mail().from("Agent <BOT@us.example>")).await.unwrap();
    assert_eq!((rule(&outcome), runs.count()), (("refuse", "own_address"), 0));
}

#[tokio::test(start_paused = true)]
async fn thread_gets_five_replies_an_hour() {
    let (guard, runs) = guarded(&GuardLayer::default());
    let in_thread = || mail().thread("thr_1");
    for _ in 0..5 {
        assert_eq!(rule(&run(&guard, &in_thread()).await.unwrap()), ("pass", ""));
    }
    assert_eq!(rule(&run(&guard, &in_thread()).await.unwrap()), ("mute", "reply_rate"));
    assert_eq!(rule(&run(&guard, &mail().thread("thr_2")).await.unwrap()), ("pass", ""));
    assert_eq!(runs.count(), 7);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(rule(&run(&guard, &in_thread()).await.unwrap()), ("pass", ""));
}

#[tokio::test(start_paused = true)]
async fn repeated_delivery_counts_as_one_reply() {
    let (guard, _) = guarded(&GuardLayer::default());
    let mail = mail().thread("thr_1");
    for _ in 0..20 {
        assert_eq!(rule(&run(&guard, &mail).await.unwrap()), ("pass", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn thirty_mails_of_a_flood_run_and_no_other_sender_is_delayed() {
    let (guard, runs) = guarded(&GuardLayer::default());
    let (mut put_off, mut others) = (0, 0);
    for number in 0..10_000 {
        match run(&guard, &mail().thread(format!("thr_{number}"))).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), HandlerErrorKind::PutOff);
                let delay = error.delay().unwrap();
                assert!(!delay.is_zero() && delay <= Duration::from_secs(3600), "{delay:?}");
                put_off += 1;
            }
        }
        if number % 1000 == 0 {
            let other = mail().from(format!("other{number}@example.net"));
            assert_eq!(rule(&run(&guard, &other).await.unwrap()), ("pass", ""));
            others += 1;
        }
    }
    assert_eq!((runs.count(), put_off), (30 + others, 9_970));
}

#[tokio::test(start_paused = true)]
async fn each_inbox_has_its_own_rate() {
    let guard = GuardLayer::default().runs_per_inbox(Rate::new(3, Duration::from_secs(60)));
    let (guard, runs) = guarded(&guard);
    for number in 0..5 {
        let mail = mail().from(format!("sender{number}@example.net"));
        assert_eq!(run(&guard, &mail).await.is_ok(), number < 3);
    }
    assert!(run(&guard, &mail().inbox("inb_other")).await.is_ok());
    assert_eq!(runs.count(), 4);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(run(&guard, &mail()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn third_mail_with_nearly_the_same_text_is_muted() {
    let (guard, _) = guarded(&GuardLayer::default());
    let text = |number: u32| {
        format!(
            "I am out of the office until {number} December and have limited access to my mail. \
             For urgent matters please contact my colleague. Ticket {number}."
        )
    };
    let mut seen = Vec::new();
    for number in 0..4 {
        let mail = mail().thread(format!("thr_{number}")).text(text(number));
        seen.push(rule(&run(&guard, &mail).await.unwrap()).1);
    }
    assert_eq!(seen, ["", "", "loop", "loop"]);
    let other = mail().from("else@example.org").text(text(9));
    assert_eq!(rule(&run(&guard, &other).await.unwrap()), ("pass", ""));
    tokio::time::advance(Duration::from_secs(3600)).await;
    let mail = mail().text(text(9));
    assert_eq!(rule(&run(&guard, &mail).await.unwrap()), ("pass", ""));
}

/// Each mail of a loop quotes all those before it, so that no two are alike as a whole.
#[tokio::test(start_paused = true)]
async fn quoted_history_does_not_hide_a_loop() {
    let (guard, _) = guarded(&GuardLayer::default());
    let words =
        ["amber birch cedar", "delta ember fjord", "grove haven inlet", "jetty knoll larch"];
    let (mut history, mut seen) = (String::new(), Vec::new());
    for (number, words) in words.iter().enumerate() {
        let text =
            format!("Thank you for your message. We will come back to you soon.\n\n{history}");
        let mail = mail().thread(format!("thr_{number}")).text(&text);
        seen.push(rule(&run(&guard, &mail).await.unwrap()).1);
        // The reply to it, in different words each time.
        let reply = format!("I have read it, {words}, {words} and once more {words}.\n\n{text}");
        let quoted: String = reply.lines().map(|line| format!("> {line}\n")).collect();
        history =
            format!("On Tue, 24 Nov 2026 at 10:05, Agent <agent@us.example> wrote:\n{quoted}");
    }
    assert_eq!(seen, ["", "", "loop", "loop"]);
}

#[tokio::test]
async fn paused_inbox_runs_again_once_resumed() {
    let pause = Pause::default();
    let (guard, runs) = guarded(&GuardLayer::default().pause(&pause));
    pause.pause_inbox("inb_test");
    let error = run(&guard, &mail()).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::PutOff);
    assert!(error.delay().is_some());
    assert!(run(&guard, &mail().inbox("inb_other")).await.is_ok());
    assert!(pause.resume_inbox("inb_test"));
    assert!(run(&guard, &mail()).await.is_ok());
    pause.pause();
    assert!(run(&guard, &mail().inbox("inb_other")).await.is_err());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn handler_learns_that_its_reply_would_be_muted() {
    #[openmail_handler(event = "message.received")]
    async fn ask(guarded: Guarded, mail: &Message) -> Option<Reply> {
        assert_eq!(guarded.withholds_replies(), !mail.may_auto_reply());
        assert_eq!(guarded.rule(), (!mail.may_auto_reply()).then_some(Rule::AutoReply));
        (!guarded.withholds_replies()).then(|| Reply::text("Thank you."))
    }
    let guard = GuardLayer::default().layer(EventRouter::new().handler(ask));
    assert!(matches!(run(&guard, &mail()).await.unwrap(), Outcome::Replies(_)));
    let newsletter = mail().message_field("category", "marketing");
    assert_eq!(run(&guard, &newsletter).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn refused_mail_is_diverted_and_reported_to_the_hook() {
    #[openmail_handler(event = "message.received")]
    async fn person(mail: &MessageReceived) -> Result<(), HandlerError> {
        match mail.message.subject.as_deref() {
            Some("fails") => Err(HandlerError::failed("the person is away")),
            _ => Ok(()),
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&seen);
    let guard =
        GuardLayer::default().divert(EventRouter::new().handler(person)).on_action(move |report| {
            hook.lock().unwrap().push((report.action, report.rule, report.reason));
        });
    let (guard, runs) = guarded(&guard);
    let spam = || mail().message_field("verdict", "spam");
    assert_eq!(rule(&run(&guard, &spam()).await.unwrap()), ("refuse", "verdict"));
    assert!(run(&guard, &spam().message_field("subject", "fails")).await.is_err());
    run(&guard, &mail().message_field("category", "bounce")).await.unwrap();
    let refused = (Action::Refuse, Rule::Verdict, "verdict");
    let muted = (Action::Mute, Rule::AutoReply, "category");
    assert_eq!(*seen.lock().unwrap(), [refused, refused, muted]);
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn without_a_queue_the_run_rate_refuses_mail() {
    let guard = GuardLayer::default().runs_per_sender(Rate::new(1, Duration::from_secs(60)));
    let secret = Secret::new("whsec_guard_tests_only").unwrap();
    let layer = VerifyLayer::new(secret.clone());
    let runs = Runs::default();
    #[openmail_handler(event = "message.received")]
    async fn count(State(Runs(runs)): State<Runs>) {
        runs.fetch_add(1, Ordering::Relaxed);
    }
    let events = guard.layer(EventRouter::new().handler(count).with_state(runs.clone()));
    let webhook = layer.layer(Endpoint::new(events.clone()));
    for _ in 0..3 {
        let request = mail().sign::<http_body_util::Full<bytes::Bytes>>(&secret);
        let response = webhook.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(runs.count(), 1);

    // The same without tower.
    let request = mail().sign::<http_body_util::Full<bytes::Bytes>>(&secret);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let secrets = Secrets::new(secret);
    let event = VerifiedEvent::verify(&secrets, &parts.headers, body.clone()).unwrap();
    let refused = Outcome::Refused { rule: "run_rate" };
    assert_eq!(events.clone().oneshot(event).await.unwrap(), refused);
    let event = layer.verify(&parts, body).await.unwrap();
    assert_eq!(events.oneshot(event).await.unwrap(), refused);
}
