//! Each rule of the guard with each action.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use openmail_tests::{Log, States, states};
use openmail_tower::{
    Endpoint, EventRouter, HandlerError, HandlerErrorKind, IntoOutcome, Outcome, Secret,
    VerifiedEvent, VerifyLayer,
    handler::State,
    layers::guard::{
        Action, CountFuture, CountRequest, CountStore, Counted, GuardLayer, Guarded, Pause, Rate,
        Rule,
    },
    openmail_handler,
    queue::{Enqueue, SqliteStore},
    reply::Reply,
    testing::TestEvent,
};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

const RULES: [Rule; 8] = [
    Rule::Verdict,
    Rule::AutoReply,
    Rule::OwnAddress,
    Rule::Sender,
    Rule::ReplyRate,
    Rule::RunRate,
    Rule::Loop,
    Rule::Pause,
];
const ACTIONS: [Action; 4] = [Action::Pass, Action::Mute, Action::PutOff, Action::Refuse];

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Worker,
    /// An HTTP request, without a queue.
    Delivery,
}

/// What became of a mail.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The outcome, with the rule that it names.
    outcome: (&'static str, &'static str),
    /// For each run of the handler, the rule that will withhold its reply.
    runs: Vec<Option<Rule>>,
    /// The action and the rule in each report to the hook.
    acted: Vec<(Action, Rule)>,
}

#[derive(Debug, Clone, Default)]
struct Runs(Arc<Mutex<Vec<Option<Rule>>>>);

#[openmail_handler(event = "message.received")]
async fn answer(guarded: Guarded, State(Runs(runs)): State<Runs>) -> Reply {
    runs.lock().unwrap().push(guarded.rule());
    Reply::text("Thank you.")
}

/// A mail for which every rule of the guard in [`judged`] fires.
fn mail() -> TestEvent {
    let mail = TestEvent::message_received().from("ada@example.org").text("Hello");
    mail.message_field("verdict", "spam").message_field("auto_replyable", false)
}

/// Returns the event as a worker or an endpoint hands it to the guard.
async fn event(source: Source) -> VerifiedEvent {
    if source == Source::Worker {
        let event = VerifiedEvent::from_stored(mail().verified().into_stored()).unwrap();
        return event.with_attempt(1);
    }
    let secret = Secret::new("whsec_guard_tests_only").unwrap();
    let taken = Arc::new(Mutex::new(None));
    let events = service_fn(|event: VerifiedEvent| {
        *taken.lock().unwrap() = Some(event);
        async { Ok::<_, HandlerError>(Outcome::Done) }
    });
    let webhook = VerifyLayer::new(secret.clone()).layer(Endpoint::new(events));
    let response = webhook.oneshot(mail().sign::<Full<Bytes>>(&secret)).await.unwrap();
    assert_eq!(response.status(), 200);
    taken.lock().unwrap().take().unwrap()
}

/// Returns what a guard with these actions does with the mail. All other rules are off.
async fn judged(source: Source, actions: &[(Rule, Action)]) -> Seen {
    let none = Rate::new(0, HOUR);
    let pause = Pause::default();
    pause.pause();
    let acted = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&acted);
    let mut guard = GuardLayer::default()
        .own_addresses(["ada@example.org".parse().unwrap()])
        .block(["ada@example.org"])
        .unwrap()
        .replies_per_sender(none)
        .runs_per_sender(none)
        .repeats(Rate::new(1, HOUR))
        .pause(&pause)
        .on_action(move |report| hook.lock().unwrap().push((report.action, report.rule)));
    for rule in RULES {
        guard = guard.on(rule, Action::Pass);
    }
    for (rule, action) in actions {
        guard = guard.on(*rule, *action);
    }
    let runs = Runs::default();
    let guard = guard.layer(EventRouter::new().handler(answer).with_state(runs.clone()));
    let outcome = match guard.oneshot(event(source).await).await {
        Ok(Outcome::Replies(_)) => ("pass", ""),
        Ok(Outcome::Muted { rule }) => ("mute", rule),
        Ok(Outcome::Refused { rule }) => ("refuse", rule),
        Err(error) if error.kind() == HandlerErrorKind::PutOff => {
            let delay = error.delay().unwrap();
            assert!(!delay.is_zero() && delay <= HOUR, "{delay:?}");
            let text = error.to_string();
            let is_named = |rule: &Rule| text.contains(&format!("rule {} ", rule.as_str()));
            let rule = RULES.into_iter().find(is_named);
            ("put_off", rule.unwrap_or_else(|| panic!("{text}")).as_str())
        }
        other => panic!("{other:?}"),
    };
    let runs = runs.0.lock().unwrap().clone();
    let acted = acted.lock().unwrap().clone();
    Seen { outcome, runs, acted }
}

/// Returns what is documented to happen if `rule` alone fires, with this action.
fn documented(source: Source, rule: Rule, action: Action) -> Seen {
    let action = match action {
        // Without a queue, OpenMail retries for about 7.5 min. A rate that is used up usually has
        // no room again within this time, but a pause may end within it.
        Action::PutOff if source == Source::Delivery && rule != Rule::Pause => Action::Refuse,
        other => other,
    };
    let (word, name) = (action.as_str(), rule.as_str());
    match action {
        Action::Pass => Seen { outcome: (word, ""), runs: vec![None], acted: vec![] },
        Action::Mute => {
            Seen { outcome: (word, name), runs: vec![Some(rule)], acted: vec![(action, rule)] }
        }
        _ => Seen { outcome: (word, name), runs: vec![], acted: vec![(action, rule)] },
    }
}

#[tokio::test]
async fn action_of_a_rule_decides_what_it_does() {
    let mut wrong = Vec::new();
    for source in [Source::Worker, Source::Delivery] {
        for rule in RULES {
            for action in ACTIONS {
                let seen = judged(source, &[(rule, action)]).await;
                let expected = documented(source, rule, action);
                if seen != expected {
                    wrong.push(format!("{source:?} {rule:?} {action:?}: {seen:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn strongest_action_wins_whichever_rule_fires_first() {
    let mut wrong = Vec::new();
    for strong in RULES {
        for weak in RULES.into_iter().filter(|weak| *weak != strong) {
            for (action, weaker) in [
                (Action::Refuse, Action::Mute),
                (Action::PutOff, Action::Mute),
                (Action::Refuse, Action::PutOff),
            ] {
                let seen = judged(Source::Worker, &[(strong, action), (weak, weaker)]).await;
                // A mail that is put off is not counted yet, so no rate and no loop is checked.
                let needs_counts = matches!(strong, Rule::RunRate | Rule::Loop | Rule::ReplyRate);
                let is_counted = weaker != Action::PutOff || !needs_counts;
                if is_counted && seen != documented(Source::Worker, strong, action) {
                    wrong.push(format!("{strong:?} {action:?}, {weak:?} {weaker:?}: {seen:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn first_of_two_rules_with_the_same_action_is_named() {
    for action in [Action::Mute, Action::PutOff, Action::Refuse] {
        let both = [(Rule::Sender, action), (Rule::Verdict, action)];
        let seen = judged(Source::Worker, &both).await;
        assert_eq!(seen, documented(Source::Worker, Rule::Verdict, action));
    }
}

/// A worker runs the mail again after the delay.
#[tokio::test(start_paused = true)]
async fn mail_put_off_by_the_reply_rate_is_answered_later() {
    let guard = GuardLayer::default()
        .replies_per_sender(Rate::new(1, HOUR))
        .on(Rule::ReplyRate, Action::PutOff);
    let router = EventRouter::new().handler(answer).with_state(Runs::default());
    let guard = guard.layer(router);
    let run = async |mail: &TestEvent| {
        let event = VerifiedEvent::from_stored(mail.verified().into_stored()).unwrap();
        guard.clone().oneshot(event.with_attempt(1)).await
    };
    let mail = |text| TestEvent::message_received().from("ada@example.org").text(text);
    let (first, second) = (mail("amber birch"), mail("cedar delta"));
    assert!(matches!(run(&first).await.unwrap(), Outcome::Replies(_)));
    let error = run(&second).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::PutOff);
    tokio::time::advance(error.delay().unwrap()).await;
    assert!(matches!(run(&second).await.unwrap(), Outcome::Replies(_)));
}

/// Counts as if other replies used up the rate while the handler runs.
#[derive(Debug)]
struct UsedUp;

impl CountStore for UsedUp {
    fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a> {
        let mut counted = Counted::default();
        // Before a run, the rate of replies is only checked.
        counted.full = request.check.is_empty().then_some((0, HOUR));
        Box::pin(async { Ok(counted) })
    }
}

#[tokio::test]
async fn rate_used_up_during_the_run_only_withholds_the_reply() {
    for action in [Action::Mute, Action::PutOff, Action::Refuse] {
        let acted = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&acted);
        let guard = GuardLayer::default()
            .counts(UsedUp)
            .on(Rule::ReplyRate, action)
            .on_action(move |report| hook.lock().unwrap().push((report.action, report.rule)));
        let runs = Runs::default();
        let router = EventRouter::new().handler(answer).with_state(runs.clone());
        let mail = TestEvent::message_received().from("ada@example.org").verified();
        let outcome = guard.layer(router).oneshot(mail).await.unwrap();
        assert_eq!(outcome, Outcome::Muted { rule: "reply_rate" });
        assert_eq!(*acted.lock().unwrap(), [(Action::Mute, Rule::ReplyRate)], "{action:?}");
        assert_eq!(*runs.0.lock().unwrap(), [None]);
    }
}

/// What a guard does to spam and newsletters is routine, so nothing above `info` is logged.
#[tokio::test]
async fn worker_logs_what_a_guard_does_at_info() {
    let log = Log::default();
    let _listening = log.listen(tracing::Level::INFO);
    let folder = tempfile::tempdir().unwrap();
    let queue = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap();
    let spam = TestEvent::message_received().message_field("verdict", "spam");
    let newsletter = TestEvent::message_received().message_field("auto_replyable", false);
    for mail in [&spam, &newsletter] {
        assert_eq!(queue.clone().oneshot(mail.verified()).await.unwrap(), Outcome::Queued);
    }
    let router = EventRouter::new().handler(answer).with_state(Runs::default());
    let worker = queue.worker(GuardLayer::default().layer(router));
    let done = async {
        while states(queue.store()).await != States::default() {
            // A store does not notify when its last entry is done, so this polls.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(worker.run(done).await, 0);
    for (mail, outcome) in [(&spam, "refused"), (&newsletter, "muted")] {
        let id = mail.json()["event_id"].as_str().unwrap();
        let ended = format!("run ended outcome=\"{outcome}\"");
        assert_eq!(log.lines(&[" INFO ", id, &ended]).len(), 1, "{}", log.text());
    }
    let mut failures = [log.lines(&["WARN "]), log.lines(&["ERROR "])].concat();
    // Every span has the level `ERROR`, whatever its outcome.
    failures.retain(|line| !line.ends_with(": close"));
    assert!(failures.is_empty(), "{failures:?}");
    queue.store().close().await;
}

/// An inbox that answers nobody any more is not routine, so a warning is logged.
#[tokio::test]
async fn used_up_reply_rate_is_a_warning_only_for_a_whole_inbox() {
    let rate = Rate::new(1, HOUR);
    for (guard, line) in [
        (GuardLayer::default().replies_per_sender(rate), ["INFO ", "scope=\"sender\""]),
        (GuardLayer::default().replies_per_inbox(rate), ["WARN ", "scope=\"inbox\""]),
    ] {
        let log = Log::default();
        let _listening = log.listen(tracing::Level::INFO);
        let guard = guard.layer(EventRouter::new().handler(answer).with_state(Runs::default()));
        for text in ["amber birch", "cedar delta"] {
            let mail = TestEvent::message_received().from("ada@example.org").text(text);
            guard.clone().oneshot(mail.verified()).await.unwrap();
        }
        assert_eq!(
            log.lines(&[&line[..], &["guarded action=\"mute\""]].concat()).len(),
            1,
            "{}",
            log.text()
        );
    }
}

/// A rate may be used up while the handler runs, by a reply to another mail.
#[tokio::test]
async fn scope_of_a_rate_used_up_during_the_run_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    let rate = Rate::new(1, HOUR);
    let of_sender = || GuardLayer::default().replies_per_sender(rate);
    let of_inbox = || GuardLayer::default().replies_per_inbox(rate);
    for (inbox, guard, line) in [
        ("inb_1", of_sender(), ["INFO ", "scope=\"sender\""]),
        ("inb_2", of_inbox(), ["WARN ", "scope=\"inbox\""]),
        ("inb_3", of_sender().counts(store.clone()), ["INFO ", "scope=\"sender\""]),
        ("inb_4", of_inbox().counts(store.clone()), ["WARN ", "scope=\"inbox\""]),
    ] {
        let log = Log::default();
        let _listening = log.listen(tracing::Level::INFO);
        let both_run = Arc::new(Barrier::new(2));
        let handler = service_fn(move |_: VerifiedEvent| {
            let both_run = Arc::clone(&both_run);
            async move {
                both_run.wait().await;
                Reply::text("Thank you.").into_outcome()
            }
        });
        let guard = guard.layer(handler);
        let run = |text: &str| {
            let mail =
                TestEvent::message_received().inbox(inbox).from("ada@example.org").text(text);
            guard.clone().oneshot(mail.verified())
        };
        let (one, other) = tokio::join!(run("amber birch"), run("cedar delta"));
        let muted = [one.unwrap(), other.unwrap()].into_iter().filter(is_muted).count();
        assert_eq!(muted, 1, "{line:?}");
        let lines = log.lines(&[&line[..], &["guarded action=\"mute\""]].concat());
        assert_eq!(lines.len(), 1, "{}", log.text());
    }
    store.close().await;
}

fn is_muted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Muted { rule: "reply_rate" })
}
