//! What an inbox's secret signs stays with that inbox: with its agent, and with its deduplication
//! keys.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tests::{EVENTS, NOW, States, clock, states};
use openmail_tower::{
    EventRouter, HandlerError, Outcome, Secret, VerifiedEvent, VerifyLayer,
    layers::dedupe::{DedupeLayer, MemoryStore},
    queue::{DedupeKey, Enqueue},
    webhook,
    webhook::{InboxKeyring, signature::sign},
};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const ACCOUNT: &str = "whsec_account";

/// Each documented kind, two unknown ones, and a mail that does not fit its type.
fn kinds() -> impl Iterator<Item = &'static str> {
    EVENTS.into_iter().chain(["message.bounced", "", MISFIT])
}
const MISFIT: &str = "message.received without a message";

/// The forms of `inbox_id` for which A's own secret may sign: absent, null, and A's.
const FORMS: [&str; 3] = ["", r#""inbox_id":null,"#, r#""inbox_id":"A","#];

/// Returns an event; `inbox` is its member `inbox_id` with a comma, or nothing.
fn body(kind: &str, inbox: &str, id: &str) -> String {
    let message = format!(r#""message":{{"id":"msg {id}","from":"ada@example.com"}},"#);
    let (kind, message) = match kind {
        MISFIT => ("message.received", ""),
        kind => (kind, &*message),
    };
    format!(r#"{{"event":"{kind}",{inbox}{message}"event_id":"{id}","pod_id":"pod_1"}}"#)
}

/// For each run, the agent and the event's id.
type Runs = Arc<Mutex<Vec<(&'static str, String)>>>;

fn agent(
    name: &'static str,
    runs: &Runs,
) -> impl Service<
    VerifiedEvent,
    Response = Outcome,
    Error = HandlerError,
    Future = impl Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    let runs = Arc::clone(runs);
    service_fn(move |event: VerifiedEvent| {
        runs.lock().unwrap().push((name, event.event_id().unwrap().to_string()));
        async { Ok(Outcome::Done) }
    })
}

/// A and B have their own agents and secrets; C has neither. The account's fallback gets the rest.
fn tenants(runs: &Runs) -> (VerifyLayer<InboxKeyring>, EventRouter) {
    let secret = |text: &str| Secret::new(text).unwrap();
    let keyring = InboxKeyring::new().with_account(secret(ACCOUNT));
    let router = EventRouter::new();
    for (name, text) in [("A", "whsec_a"), ("B", "whsec_b")] {
        keyring.set(name, secret(text));
        router.inboxes().replace_service(name, agent(name, runs)).unwrap();
    }
    // As the gateway example does.
    router.inboxes().set_fallback(Some(agent("the account's", runs)));
    (VerifyLayer::with_keyring(keyring).clock(clock(0)), router)
}

async fn post<S, B>(webhook: &S, path: &str, signed_by: &str, body: String) -> u16
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
{
    let signature = sign(&Secret::new(signed_by).unwrap(), NOW, body.as_bytes());
    let request = Request::post(path)
        .header("x-timestamp", NOW)
        .header("x-signature", signature)
        .body(body.into())
        .unwrap();
    webhook.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// Posts events that A's secret may not sign, then those that it may, and then those of others with
/// the same ids.
async fn attack<S, B>(webhook: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
{
    for (number, kind) in kinds().enumerate() {
        for (form, own) in FORMS.into_iter().enumerate() {
            let id = format!("{number}.{form}");
            for other in ["B", "C", "a", ""] {
                for path in ["/webhooks/A", "/webhooks/B", "/webhooks/C", "/webhooks"] {
                    let named = body(kind, &format!(r#""inbox_id":"{other}","#), &id);
                    let status = post(&webhook, path, "whsec_a", named).await;
                    assert!(matches!(status, 401 | 422), "{kind} of {other} at {path}: {status}");
                }
            }
            for path in ["/webhooks", "/webhooks/B", "/webhooks/C"] {
                let status = post(&webhook, path, "whsec_a", body(kind, own, &id)).await;
                assert_eq!(status, 401, "{kind} at {path}");
            }
            for _ in 0..2 {
                let status = post(&webhook, "/webhooks/A", "whsec_a", body(kind, own, &id)).await;
                assert_eq!(status, 200, "{kind}");
            }
            for (path, secret) in [("/webhooks", ACCOUNT), ("/webhooks/B", "whsec_b")] {
                let nameless = body(kind, own.trim_start_matches(FORMS[2]), &id);
                let status = post(&webhook, path, secret, nameless).await;
                assert_eq!(status, 200, "{kind} at {path}");
            }
        }
    }
}

/// Asserts that each event ran once for each of its signers.
fn check_runs(runs: &Runs, what: &str) {
    let mut runs = runs.lock().unwrap().clone();
    runs.sort_unstable();
    let forms = |number| (0..FORMS.len()).map(move |form| format!("{number}.{form}"));
    let ids = (0..kinds().count()).flat_map(forms);
    let mut expected: Vec<_> =
        ids.flat_map(|id| ["A", "B", "the account's"].map(|name| (name, id.clone()))).collect();
    expected.sort_unstable();
    assert_eq!(runs, expected, "{what}");
}

#[tokio::test]
async fn what_an_inbox_signs_affects_no_other_inbox_with_dedupe() {
    for key in [DedupeKey::EventId, DedupeKey::Message] {
        let runs = Runs::default();
        let (layer, router) = tenants(&runs);
        let dedupe = DedupeLayer::new(MemoryStore::new(10_000)).key(key);
        attack(webhook(layer, dedupe.layer(router))).await;
        check_runs(&runs, &format!("{key:?}"));
    }
}

#[tokio::test]
async fn what_an_inbox_signs_affects_no_other_inbox_with_a_queue() {
    for key in [DedupeKey::EventId, DedupeKey::Message] {
        let runs = Runs::default();
        let (layer, router) = tenants(&runs);
        let folder = tempfile::tempdir().unwrap();
        let queue = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap().key(key);
        attack(webhook(layer, queue.clone())).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(queue.worker(router).run(async { drop(stopped.await) }));
        let all_done = async {
            while states(queue.store()).await != States::default() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), all_done).await.expect("everything runs");
        drop(stop);
        assert_eq!(worker.await.unwrap(), 0);
        check_runs(&runs, &format!("{key:?}"));
    }
}
