//! Two of our agents, each of which answers every mail of the other.

use std::{
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use openmail_tower::{
    EventRouter, MessageReceived, Secret, VerifyLayer,
    api::{ApiKey, OpenMail},
    handler::State,
    layers::guard::{Action, GuardLayer, Rule},
    openmail_handler,
    queue::{Enqueue, QueueStore},
    reply::Reply,
    webhook,
};
use sandbox::{Options, Sandbox};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::Layer;

/// Maximum wait: longer than any step takes, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the two agents write: the same text each time, or different ones.
#[derive(Debug, Clone)]
struct Agents {
    varies: bool,
    answers: Arc<AtomicUsize>,
}

#[openmail_handler(event = "message.received")]
async fn answer(_: &MessageReceived, State(agents): State<Agents>) -> Reply {
    const WORDS: [&str; 8] =
        ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven"];
    let number = agents.answers.fetch_add(1, Ordering::SeqCst);
    if !agents.varies {
        return Reply::text("Thank you for your message. We will come back to you soon.");
    }
    let word = |place: usize| WORDS[(number >> (3 * place)) % 8];
    Reply::text(format!("About {} and {}, {}.", word(0), word(1), word(2)))
}

/// Makes one agent write to the other. Returns how many replies were sent, and what stopped them.
async fn converse(guard: GuardLayer, varies: bool) -> (usize, (Action, Rule)) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut options = Options::default();
    options.listen = ([127, 0, 0, 1], 0).into();
    options.webhook = Some(format!("http://{}/webhooks", listener.local_addr().unwrap()));
    options.inboxes = ["inb_one=one@sandbox.test", "inb_two=two@sandbox.test"]
        .map(|inbox| inbox.parse().unwrap())
        .into();
    // Only the guard may stop them.
    options.send_limits = false;
    let sandbox = Sandbox::bind(options).await.unwrap();
    let openmail = OpenMail::at(ApiKey::new(sandbox.api_key()).unwrap(), sandbox.url()).unwrap();
    let verify = VerifyLayer::new(Secret::new(sandbox.webhook_secret()).unwrap());

    let agents = Agents { varies, answers: Arc::default() };
    let stopped = Arc::new(Mutex::new(None));
    let guard = guard.on_action({
        let stopped = Arc::clone(&stopped);
        move |report| {
            stopped.lock().unwrap().get_or_insert((report.action, report.rule));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let queue = Enqueue::sqlite(folder.path().join("agents.db")).await.unwrap();
    let events = guard.layer(EventRouter::new().handler(answer).with_state(agents));
    let end = CancellationToken::new();
    let worker = queue.worker(events).replies(openmail.clone()).run(end.clone().cancelled_owned());
    let worker = AbortOnDropHandle::new(tokio::spawn(worker));
    let app = Router::new().route_service("/webhooks", webhook(verify, queue.clone()));
    let server = axum::serve(listener, app).with_graceful_shutdown(end.clone().cancelled_owned());
    let server = AbortOnDropHandle::new(tokio::spawn(server.into_future()));

    sandbox
        .receive("Two <two@sandbox.test>", "one@sandbox.test", "Hello", "Are you there?")
        .unwrap();
    let local = AbortOnDropHandle::new(tokio::spawn(sandbox.serve(end.clone().cancelled_owned())));
    let ends = async {
        loop {
            let counts = queue.store().counts().await.unwrap();
            let left = counts.ready + counts.waiting + counts.running + counts.blocked;
            // A mail that gets no reply is the last one, so nothing else can happen.
            if stopped.lock().unwrap().is_some() && left == 0 {
                return counts;
            }
            // A store does not notify when its last entry is done, so this polls.
            sleep(Duration::from_millis(20)).await;
        }
    };
    let counts = timeout(PATIENCE, ends).await.expect("they stop");
    assert_eq!((counts.dead, counts.held), (0, 0));
    let mut sent = 0;
    for inbox in ["inb_one", "inb_two"] {
        sent += outbound(&openmail, inbox).await;
    }
    end.cancel();
    worker.await.unwrap();
    server.await.unwrap().unwrap();
    local.await.unwrap().unwrap();
    queue.store().close().await;
    let ended_by = stopped.lock().unwrap().expect("it has stopped them");
    (sent, ended_by)
}

async fn outbound(openmail: &OpenMail, inbox: &str) -> usize {
    use futures_util::TryStreamExt as _;
    use openmail_tower::api::Direction;

    let messages: Vec<_> = openmail.messages(&inbox.into()).try_collect().await.unwrap();
    messages.iter().filter(|message| message.direction == Some(Direction::Outbound)).count()
}

#[tokio::test]
async fn two_agents_stop_after_five_replies_each() {
    let (sent, ended_by) = converse(GuardLayer::default(), true).await;
    assert_eq!((sent, ended_by), (10, (Action::Mute, Rule::ReplyRate)));
}

#[tokio::test]
async fn two_agents_stop_sooner_when_they_repeat_themselves() {
    let (sent, ended_by) = converse(GuardLayer::default(), false).await;
    assert_eq!((sent, ended_by), (5, (Action::Mute, Rule::Loop)));
}

#[tokio::test]
async fn two_agents_never_start_when_the_guard_knows_both_addresses() {
    let ours = ["one@sandbox.test", "two@sandbox.test"].map(|address| address.parse().unwrap());
    let (sent, ended_by) = converse(GuardLayer::default().own_addresses(ours), true).await;
    assert_eq!((sent, ended_by), (0, (Action::Refuse, Rule::OwnAddress)));
}
