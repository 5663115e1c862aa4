//! A flood by one sender, from HTTP through the queue to the handler.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use openmail_tests::{States, states};
use openmail_tower::{
    IntoOutcome, MessageReceived, Outcome, Secret, VerifiedEvent, VerifyLayer,
    handler::State,
    layers::guard::{Action, GuardLayer, Rate, Rule},
    openmail_handler,
    queue::{Enqueue, QueueStore},
    reply::Reply,
    testing::TestEvent,
    webhook,
};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};

const FLOOD: usize = 10_000;
const FLOODER: &str = "flood@example.net";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// The senders whose mails ran, in order.
#[derive(Debug, Clone, Default)]
struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    fn of_the_flood(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|sender| *sender == FLOODER).count()
    }

    fn of_others(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|sender| *sender != FLOODER).count()
    }
}

#[openmail_handler(event = "message.received")]
async fn keep(mail: &MessageReceived, State(Ran(ran)): State<Ran>) {
    ran.lock().unwrap().push(mail.message.sender().unwrap().address.to_string());
}

fn mail(number: usize, sender: &str, thread: &str) -> TestEvent {
    TestEvent::message_received()
        .event_id(format!("evt_{number}"))
        .message_field("id", format!("msg_{number}"))
        .thread(thread)
        .from(sender)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_mails_of_a_flood_run_an_hour_and_no_other_sender_is_delayed() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap();
    // On a busy machine, a delivery waits longer.
    let queue = queue.timeout(PATIENCE);
    let secret = Secret::new("whsec_guard_tests_only").unwrap();
    let webhook = webhook(VerifyLayer::new(secret.clone()), queue.clone());
    let deliver = |mail: TestEvent| {
        let request = mail.sign::<Full<Bytes>>(&secret);
        let webhook = webhook.clone();
        async move { webhook.oneshot(request).await.unwrap().status() }
    };

    // A third of the flood is in one thread, in which others write too.
    let thread = |number: usize| match number % 3 {
        0 => "thr_shared".to_owned(),
        _ => format!("thr_{number}"),
    };
    let mut deliveries = JoinSet::new();
    for number in 0..FLOOD {
        deliveries.spawn(deliver(mail(number, FLOODER, &thread(number))));
        if deliveries.len() == 200 {
            assert_eq!(deliveries.join_next().await.unwrap().unwrap(), 200);
        }
    }
    // Mail of other senders, behind the whole flood.
    let others = ["ada@example.org", "bob@example.org", "cyd@example.org"];
    for (place, sender) in others.into_iter().enumerate() {
        let shared = mail(FLOOD + 2 * place, sender, "thr_shared");
        let own = mail(FLOOD + 2 * place + 1, sender, &format!("thr_{sender}"));
        deliveries.spawn(deliver(shared));
        deliveries.spawn(deliver(own));
    }
    let statuses = deliveries.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "each is acknowledged");
    let everything = FLOOD + 2 * others.len();
    let counts = queue.store().counts().await.unwrap();
    assert_eq!(counts.ready + counts.blocked, everything as u64);

    let ran = Ran::default();
    let (put_off, questions) =
        (Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicUsize::new(0)));
    let guard = GuardLayer::default().on_action({
        let (put_off, questions) = (Arc::clone(&put_off), Arc::clone(&questions));
        move |report| {
            assert_eq!((report.action, report.rule), (Action::PutOff, Rule::RunRate));
            let id = report.event.event_id().unwrap().to_string();
            put_off.lock().unwrap().insert(id);
            questions.fetch_add(1, Ordering::SeqCst);
        }
    });
    let router = openmail_tower::EventRouter::new().handler(keep).with_state(ran.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = queue.worker(guard.layer(router));
    let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));
    until("all others ran", async || ran.of_others() == 2 * others.len()).await;
    until("the guard has judged each mail of the flood", async || {
        ran.of_the_flood() + put_off.lock().unwrap().len() == FLOOD
    })
    .await;
    assert_eq!(ran.of_the_flood(), 30, "in the first hour");
    // Each of them waits and was judged once, not repeatedly.
    assert_eq!(questions.load(Ordering::SeqCst), FLOOD - 30);
    let waiting = States { ready: (FLOOD - 30) as u64, ..States::default() };
    until("all wait", async || states(queue.store()).await == waiting).await;

    // While the flood waits, another mail runs at once, even in a thread of the flood.
    for (number, thread) in [(everything, "thr_shared"), (everything + 1, "thr_new")] {
        assert_eq!(deliver(mail(number, "dan@example.org", thread)).await, 200);
    }
    until("it ran", async || ran.of_others() == 2 * others.len() + 2).await;
    assert_eq!(ran.of_the_flood(), 30);
    assert_eq!(questions.load(Ordering::SeqCst), FLOOD - 30, "before the flood came back");
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
    queue.store().close().await;
}

/// What became of two mails of a flood, and of the mail of another sender behind them.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    ran: Vec<String>,
    /// Why mails were put off.
    reasons: Vec<&'static str>,
    blocked: u64,
}

/// Runs these mails, all of one thread, until `expected` holds.
async fn check_thread(what: &str, guard: GuardLayer, expected: Shared) {
    let folder = tempfile::tempdir().unwrap();
    let queue = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap();
    for (number, sender) in [FLOODER, FLOODER, "ada@example.org"].into_iter().enumerate() {
        let mail = mail(number, sender, "thr_shared").text(format!("mail {number}"));
        queue.clone().oneshot(mail.verified()).await.unwrap();
    }
    let (ran, reasons) = (Ran::default(), Arc::new(Mutex::new(Vec::new())));
    let hook = Arc::clone(&reasons);
    let guard = guard.on_action(move |report| {
        assert_eq!(report.action, Action::PutOff);
        hook.lock().unwrap().push(report.reason);
    });
    let answer = {
        let ran = ran.clone();
        service_fn(move |event: VerifiedEvent| {
            let mail = event.event().message_received().unwrap();
            ran.0.lock().unwrap().push(mail.message.sender().unwrap().address.to_string());
            async { Reply::text("Thank you.").into_outcome() }
        })
    };
    // Here, nothing sends replies.
    let events = guard.layer(answer).map_response(|_| Outcome::Done);
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(queue.worker(events).run(async { drop(stopped.await) }));
    let seen = async || {
        let (ran, reasons) = (ran.0.lock().unwrap().clone(), reasons.lock().unwrap().clone());
        let States { ready, running, blocked, .. } = states(queue.store()).await;
        let is_quiet = running == 0 && ready == reasons.len() as u64;
        is_quiet.then_some(Shared { ran, reasons, blocked })
    };
    let mut last = None;
    until(what, async || {
        last = seen().await.or(last.take());
        last.as_ref().is_some_and(|seen| {
            seen.ran.len() + seen.reasons.len() + usize::try_from(seen.blocked).unwrap() == 3
        })
    })
    .await;
    assert_eq!(last.unwrap(), expected, "{what}");
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
    queue.store().close().await;
}

/// A thread waits only for a limit that all its mails have reached.
#[tokio::test(flavor = "multi_thread")]
async fn mail_put_off_because_of_its_sender_does_not_hold_its_thread() {
    let (one, any) = (Rate::new(1, Duration::from_secs(3600)), Rate::unlimited());
    let shared = |ran: &[&str], reasons: &[&'static str], blocked| {
        let ran = ran.iter().map(ToString::to_string).collect();
        Shared { ran, reasons: reasons.to_vec(), blocked }
    };
    let others_run = |reason| shared(&[FLOODER, "ada@example.org"], &[reason], 0);
    let all_wait = |reason| shared(&[FLOODER], &[reason], 1);
    let guard = GuardLayer::default;
    let runs = guard().runs_per_sender(one);
    check_thread("runs of a sender", runs.clone(), others_run("sender")).await;
    let runs = runs.runs_per_inbox(any);
    check_thread("runs of a sender only", runs, others_run("sender")).await;
    let runs = guard().runs_per_inbox(one);
    check_thread("runs of an inbox", runs.clone(), all_wait("inbox")).await;
    let runs = runs.runs_per_sender(any);
    check_thread("runs of an inbox only", runs, all_wait("inbox")).await;

    let replies = guard().on(Rule::ReplyRate, Action::PutOff);
    let of_sender = replies.clone().replies_per_sender(one);
    check_thread("replies to a sender", of_sender, others_run("replies")).await;
    let of_inbox = replies.clone().replies_per_inbox(one);
    check_thread("replies of an inbox", of_inbox, all_wait("replies")).await;
    let of_thread = shared(&[FLOODER], &["replies", "replies"], 0);
    check_thread("replies of a thread", replies.replies_per_thread(one), of_thread).await;

    let blocked = guard().block([FLOODER]).unwrap().on(Rule::Sender, Action::PutOff);
    let expected = shared(&["ada@example.org"], &["blocked", "blocked"], 0);
    check_thread("a blocked sender", blocked, expected).await;
}
