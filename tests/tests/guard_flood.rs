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
use openmail_tests::{PostgresSchema, States, states};
use openmail_tower::{
    HandlerError, IntoOutcome, MessageReceived, Outcome, Secret, VerifiedEvent, VerifyLayer,
    handler::State,
    layers::guard::{Action, GuardLayer, Rate, Rule},
    openmail_handler,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore},
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

const FLOODER: &str = "flood@example.net";
/// The number of mails in the flood.
const FLOOD: usize = 10_000;
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
            // Neither the store nor the handler announces a change.
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Delivers a flood, and mails of other senders after it.
async fn thirty_mails_run_and_no_other_sender_is_delayed<St: QueueStore>(store: St) {
    // On a busy machine, a delivery waits longer.
    let queue = Enqueue::new(store).timeout(PATIENCE);
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
    // Each of the flood's other mails waits, and was judged once, not repeatedly.
    assert_eq!(questions.load(Ordering::SeqCst), FLOOD - 30);
    let waiting = States { ready: (FLOOD - 30) as u64, ..States::default() };
    until("all wait", async || states(queue.store()).await == waiting).await;

    // While the flood waits, another mail runs at once, even in a thread of the flood.
    for (number, thread) in [(everything, "thr_shared"), (everything + 1, "thr_new")] {
        assert_eq!(deliver(mail(number, "dan@example.org", thread)).await, 200);
    }
    until("it ran", async || ran.of_others() == 2 * others.len() + 2).await;
    assert_eq!(ran.of_the_flood(), 30);
    assert_eq!(
        questions.load(Ordering::SeqCst),
        FLOOD - 30,
        "a mail of the flood was judged again"
    );
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_mails_of_a_flood_run_per_hour_and_no_other_sender_is_delayed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    thirty_mails_run_and_no_other_sender_is_delayed(store.clone()).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn thirty_mails_of_a_flood_run_per_hour_with_postgres() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    thirty_mails_run_and_no_other_sender_is_delayed(store.clone()).await;
    store.close().await;
    schema.drop().await;
}

/// The mails that ran, in order, each with its attempt.
type Attempts = Arc<Mutex<Vec<(String, Option<u32>)>>>;

/// The mails that ran, and how often a mail was put off.
#[derive(Debug, Clone, Default)]
struct Seen {
    ran: Attempts,
    put_off: Arc<AtomicUsize>,
}

impl Seen {
    /// Waits until there have been `ran` runs, and mails were put off `put_off` times. Checks that
    /// neither count is higher.
    async fn reach<St: QueueStore>(&self, store: &St, (ran, put_off): (usize, usize)) {
        let counts = || (self.ran.lock().unwrap().len(), self.put_off.load(Ordering::SeqCst));
        until("each mail that is due was judged", async || {
            let (ran_now, put_off_now) = counts();
            ran_now + put_off_now >= ran + put_off && states(store).await.running == 0
        })
        .await;
        assert_eq!(counts(), (ran, put_off));
    }
}

/// Makes stored times an hour older, so that for the queue, an hour passes.
const AN_HOUR_FOR_COUNTS: &str = "UPDATE openmail_counts
     SET counted_at = counted_at - 3600000, counts_until = counts_until - 3600000";
const AN_HOUR_FOR_MAILS: &str = "UPDATE openmail_events
     SET due_at = due_at - 3600000, queued_at = queued_at - 3600000,
         put_off_at = put_off_at - 3600000, released_at = released_at - 3600000
     WHERE state IN ('ready', 'aside')";

/// Runs a flood of 100 mails until none is left. `execute` executes SQL in the store's database.
async fn flood_runs_hour_by_hour<St: QueueStore>(store: St, execute: impl AsyncFn(&'static str)) {
    const SMALL_FLOOD: usize = 100;
    let queue = Enqueue::new(store);
    let add = async |number, sender, thread: &str| {
        let mail = mail(number, sender, thread).verified();
        assert_eq!(queue.clone().oneshot(mail).await.unwrap(), Outcome::Queued);
    };
    for number in 0..SMALL_FLOOD {
        let thread = if number % 3 == 0 { "thr_shared" } else { &format!("thr_{number}") };
        add(number, FLOODER, thread).await;
    }
    let seen = Seen::default();
    let put_off = Arc::clone(&seen.put_off);
    let guard = GuardLayer::default().on_action(move |report| {
        assert_eq!((report.action, report.rule), (Action::PutOff, Rule::RunRate));
        put_off.fetch_add(1, Ordering::SeqCst);
    });
    let ran = Arc::clone(&seen.ran);
    let handler = service_fn(move |event: VerifiedEvent| {
        let id = event.event_id().unwrap().to_string();
        ran.lock().unwrap().push((id, event.attempt()));
        async { Ok::<_, HandlerError>(Outcome::Done) }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    // A worker does not notice that stored times change, so it looks often.
    let worker = queue.worker(guard.layer(handler)).poll_interval(Duration::from_millis(20));
    let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));

    let (mut ran, mut put_off, mut others) = (30, SMALL_FLOOD - 30, 0);
    seen.reach(queue.store(), (ran, put_off)).await;
    while ran < SMALL_FLOOD + others {
        let waiting = SMALL_FLOOD + others - ran;
        // They are due again, but the counts have not expired, so none of them runs.
        execute(AN_HOUR_FOR_MAILS).await;
        put_off += waiting;
        seen.reach(queue.store(), (ran, put_off)).await;
        // The mail of another sender does not wait, even in a thread of the flood.
        add(SMALL_FLOOD + others, "ada@example.org", "thr_shared").await;
        others += 1;
        ran += 1;
        seen.reach(queue.store(), (ran, put_off)).await;
        execute(AN_HOUR_FOR_COUNTS).await;
        execute(AN_HOUR_FOR_MAILS).await;
        let run = waiting.min(30);
        ran += run;
        put_off += waiting - run;
        seen.reach(queue.store(), (ran, put_off)).await;
    }
    assert_eq!(others, 3, "hours after the first");
    until("none is left", async || states(queue.store()).await == States::default()).await;
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
    let mut ran = seen.ran.lock().unwrap().clone();
    ran.sort_unstable();
    let mut each_once: Vec<_> =
        (0..SMALL_FLOOD + others).map(|number| (format!("evt_{number}"), Some(1))).collect();
    each_once.sort_unstable();
    assert_eq!(ran, each_once, "no attempt was used by waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_runs_thirty_mails_an_hour_until_none_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let database = sqlx::SqlitePool::connect_with(options).await.unwrap();
    flood_runs_hour_by_hour(store.clone(), async |sql| {
        sqlx::query(sql).execute(&database).await.unwrap();
    })
    .await;
    database.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn flood_runs_thirty_mails_an_hour_until_none_is_left_in_postgres() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    let database = schema.pool().await;
    flood_runs_hour_by_hour(store.clone(), async |sql| {
        sqlx::query(sql).execute(&database).await.unwrap();
    })
    .await;
    database.close().await;
    store.close().await;
    schema.drop().await;
}

/// What became of two mails of a flood, and of the mail of another sender behind them.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    ran: Vec<String>,
    /// Why mails were put off.
    reasons: Vec<&'static str>,
    blocked: u64,
}

/// Runs three mails, all of one thread, until each has run, is put off or is blocked. Asserts that
/// what happened to them is `expected`.
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

/// A mail that is put off holds back its thread only if the limit is that of the whole inbox.
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
