//! Which secret may sign for which inbox, however a request names the inbox.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use openmail_tests::{NOW, clock, error_code, inner};
use openmail_tower::{
    BoxError, DedupeKey, InboxId, Secret, Secrets, VerifiedEvent, VerifyLayer,
    webhook::{
        InboxKeyring, Keyring,
        keyring::{Keys, Scope},
        signature::sign,
    },
};
use tower::{Layer, ServiceExt};

const OURS: &str = "whsec_account";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn mail(inbox: &str) -> String {
    format!(
        r#"{{"event":"message.received","event_id":"evt_1",{inbox}
           "message":{{"id":"msg_1","from":"ada@example.com"}}}}"#
    )
}

fn of(inbox: &str) -> String {
    mail(&format!(r#""inbox_id":"{inbox}","#))
}

fn post(path: &str, signed_by: &str, body: String) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("x-timestamp", NOW)
        .header("x-signature", sign(&secret(signed_by), NOW, body.as_bytes()))
        .body(body.into())
        .unwrap()
}

/// Returns the status and the code of the response, and asserts that the event reached the inner
/// service if, and only if, it was accepted.
async fn answer<K: Keyring>(keyring: &K, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let (status, code, _) = owned(keyring, request).await;
    (status, code)
}

/// Like [`answer`], but also returns the inbox to which the event belongs. Asserts that
/// verification without tower gives the same result.
async fn owned<K: Keyring>(
    keyring: &K,
    request: Request<Full<Bytes>>,
) -> (StatusCode, String, Option<InboxId>) {
    let (recorder, seen) = inner();
    let layer = VerifyLayer::with_keyring(keyring.clone()).clock(clock(0));
    let (parts, body) = request.clone().into_parts();
    let response = layer.layer(recorder).oneshot(request).await.unwrap();
    let (status, body) = (response.status(), body.collect().await.unwrap().to_bytes());
    assert_eq!(seen.count(), usize::from(status.is_success()));
    let owner = seen.last().and_then(|event| event.inbox_id().cloned());
    let code = error_code(response).await;
    match layer.verify(&parts, body).await {
        Ok(event) => assert_eq!((200, event.inbox_id()), (status.as_u16(), owner.as_ref())),
        Err(rejection) => assert_eq!((rejection.status(), rejection.code()), (status, &*code)),
    }
    (status, code, owner)
}

async fn status<K: Keyring>(keyring: &K, path: &str, signed_by: &str, body: String) -> u16 {
    answer(keyring, post(path, signed_by, body)).await.0.as_u16()
}

/// A and B have their own secrets; C has none.
fn tenants() -> InboxKeyring {
    let keyring = InboxKeyring::new();
    keyring.set("A", secret("whsec_a"));
    keyring.set("B", secret("whsec_b"));
    keyring
}

#[tokio::test]
async fn each_secret_is_accepted_only_for_its_own_inbox() {
    let alone = tenants();
    let beside = tenants().with_account(secret(OURS));
    for keyring in [&alone, &beside, &alone.clone().by_body(), &beside.clone().by_body()] {
        assert_eq!(status(keyring, "/webhooks/A", "whsec_a", of("A")).await, 200);
        assert_eq!(status(keyring, "/A", "whsec_a", of("A")).await, 200);
        assert_eq!(status(keyring, "/webhooks/B", "whsec_b", of("B")).await, 200);
    }
    for keyring in [&beside, &beside.clone().by_body()] {
        assert_eq!(status(keyring, "/webhooks", OURS, of("C")).await, 200);
        assert_eq!(status(keyring, "/", OURS, of("C")).await, 200);
        let pod = r#"{"event":"pod.suspended","event_id":"e","inbox_id":null,"pod_id":"p"}"#;
        assert_eq!(status(keyring, "/webhooks", OURS, pod.into()).await, 200);
        let test = r#"{"event":"setup.test"}"#;
        assert_eq!(status(keyring, "/webhooks", OURS, test.into()).await, 200);
    }
    for keyring in [&alone, &alone.clone().by_body()] {
        assert_eq!(status(keyring, "/webhooks", OURS, of("C")).await, 401);
    }
    for keyring in [&alone, &beside] {
        // A `setup.test` has no inbox, and is accepted with the secret of the URL's inbox.
        for (signed_by, expected) in [("whsec_a", 200), ("whsec_b", 401)] {
            let test = r#"{"event":"setup.test"}"#.to_owned();
            assert_eq!(status(keyring, "/webhooks/A", signed_by, test).await, expected);
            let test = r#"{"event":"setup.test","inbox_id":"B"}"#.to_owned();
            assert_eq!(status(keyring, "/webhooks/A", signed_by, test).await, 401);
        }
    }
}

#[tokio::test]
async fn tenant_cannot_forge_mail_of_other_tenants() {
    let bodies = [
        of("B"),
        of("C"),
        of(""),
        mail(r#""inbox_id":"A","inbox_id":"B","#),
        mail(r#""message":{"inbox_id":"A"},"inbox_id":"B","#),
        mail(r#""inbox\u005fid":"B","#),
    ];
    let paths = [
        "/webhooks/A",
        "/webhooks/B",
        "/webhooks/C",
        "/webhooks",
        "/webhooks/A/",
        "/webhooks/B/A",
        "/webhooks/A%2FB",
        "/webhooks/%41",
        "/webhooks/B?inbox_id=A",
        "/webhooks/A#B",
        "/",
    ];
    // The tenant signs with its old and its new secret during a rotation, and with the account's
    // secret, in case it has learnt that one. The account's secret does not sign for inboxes that
    // have their own.
    for account in [None, Some(Secrets::new(secret(OURS)))] {
        let keyring = tenants();
        keyring.set_account(account);
        keyring.rotate("A", secret("whsec_a2"), Duration::MAX);
        for keyring in [keyring.clone(), keyring.by_body()] {
            for path in paths {
                for body in &bodies {
                    for own in ["whsec_a", "whsec_a2"] {
                        let mut request = post(path, own, body.clone());
                        for name in ["x-inbox-id", "x-original-uri", "x-forwarded-path"] {
                            request.headers_mut().insert(name, "/webhooks/B".parse().unwrap());
                        }
                        let (status, error, owner) = owned(&keyring, request).await;
                        let rejected = ["signature_mismatch", "inbox_mismatch", "invalid_payload"];
                        assert!(rejected.contains(&&*error), "{status} {path} {own} {body}");
                        assert_eq!(owner, None);
                    }
                }
                assert_eq!(status(&keyring, path, OURS, of("B")).await, 401, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn unknown_inbox_is_answered_like_a_wrong_signature() {
    for keyring in [tenants(), tenants().by_body(), tenants().with_account(secret(OURS))] {
        let wrong = answer(&keyring, post("/webhooks/A", "whsec_x", of("A"))).await;
        let unknown = answer(&keyring, post("/webhooks/X", "whsec_x", of("X"))).await;
        assert_eq!(wrong, (StatusCode::UNAUTHORIZED, "signature_mismatch".into()));
        assert_eq!(wrong, unknown);
    }
}

#[tokio::test]
async fn event_of_another_inbox_differs_from_a_wrong_signature() {
    let rejected = answer(&tenants(), post("/webhooks/A", "whsec_a", of("B"))).await;
    assert_eq!(rejected, (StatusCode::UNAUTHORIZED, "inbox_mismatch".into()));
}

/// Returns events of every kind except `message.received`, with this `inbox_id`.
fn of_every_kind(inbox: &str) -> Vec<String> {
    let kinds = [
        "setup.test",
        "inbox.suspended",
        "inbox.reactivated",
        "pod.suspended",
        "pod.reactivated",
        "message.bounced",
        "",
    ];
    let event = |kind| format!(r#"{{"event":"{kind}",{inbox}"event_id":"e","pod_id":"p"}}"#);
    kinds.into_iter().map(event).collect()
}

#[tokio::test]
async fn event_signed_by_an_inbox_belongs_to_it_whatever_its_kind() {
    let keyring = tenants().with_account(secret(OURS));
    for none in ["", r#""inbox_id":null,"#] {
        for body in of_every_kind(none) {
            let (status, _, owner) =
                owned(&keyring, post("/webhooks/A", "whsec_a", body.clone())).await;
            assert_eq!((status.as_u16(), owner), (200, Some("A".into())), "{body}");
            // The same event signed by the account belongs to no inbox.
            let (status, _, owner) = owned(&keyring, post("/webhooks", OURS, body.clone())).await;
            assert_eq!((status.as_u16(), owner), (200, None), "{body}");
            // On any other path, A's secret does not sign.
            for path in ["/webhooks", "/webhooks/B", "/webhooks/C"] {
                assert_eq!(status_of(&keyring, path, "whsec_a", &body).await, 401, "{path} {body}");
            }
        }
    }
    for body in of_every_kind(r#""inbox_id":"A","#) {
        let (status, _, owner) = owned(&keyring, post("/webhooks/A", "whsec_a", body)).await;
        assert_eq!((status.as_u16(), owner), (200, Some("A".into())));
    }
    for other in ["B", "C", "a", ""] {
        for body in of_every_kind(&format!(r#""inbox_id":"{other}","#)) {
            for path in ["/webhooks/A", "/webhooks/B", "/webhooks"] {
                assert_eq!(status_of(&keyring, path, "whsec_a", &body).await, 401, "{path} {body}");
            }
        }
    }
}

async fn status_of<K: Keyring>(keyring: &K, path: &str, signed_by: &str, body: &str) -> u16 {
    status(keyring, path, signed_by, body.to_owned()).await
}

#[tokio::test]
async fn stored_event_without_an_inbox_still_belongs_to_its_signer() {
    let keyring = tenants().with_account(secret(OURS));
    let verified = async |path, signed_by| {
        let (recorder, seen) = inner();
        let layer = VerifyLayer::with_keyring(keyring.clone()).clock(clock(0)).layer(recorder);
        let body = r#"{"event":"pod.suspended","event_id":"e","pod_id":"p"}"#.to_owned();
        layer.oneshot(post(path, signed_by, body)).await.unwrap();
        seen.last().unwrap()
    };
    let (inbox, account) =
        (verified("/webhooks/A", "whsec_a").await, verified("/webhooks", OURS).await);
    let keys = [&inbox, &account].map(|event| DedupeKey::EventId.of(event));
    assert_ne!(keys[0], keys[1], "neither is a duplicate of the other");
    let stored = |event: VerifiedEvent| VerifiedEvent::from_stored(event.into_stored()).unwrap();
    assert_eq!(stored(inbox).inbox_id(), Some(&"A".into()));
    assert_eq!(stored(account).inbox_id(), None);
}

#[tokio::test(start_paused = true)]
async fn rotation_overlaps_for_its_duration() {
    let keyring = tenants().with_account(secret(OURS));
    let minute = Duration::from_secs(60);
    keyring.rotate("A", secret("whsec_a2"), minute);
    keyring.rotate("B", secret("whsec_b2"), Duration::MAX);
    keyring.rotate_account(secret("whsec_account2"), minute);
    let old = async |keyring| {
        [
            status(keyring, "/webhooks/A", "whsec_a", of("A")).await,
            status(keyring, "/webhooks/B", "whsec_b", of("B")).await,
            status(keyring, "/webhooks", OURS, of("C")).await,
        ]
    };
    let new = async |keyring| {
        [
            status(keyring, "/webhooks/A", "whsec_a2", of("A")).await,
            status(keyring, "/webhooks/B", "whsec_b2", of("B")).await,
            status(keyring, "/webhooks", "whsec_account2", of("C")).await,
        ]
    };
    tokio::time::advance(minute - Duration::from_millis(1)).await;
    assert_eq!(old(&keyring).await, [200, 200, 200]);
    assert_eq!(new(&keyring).await, [200, 200, 200]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(old(&keyring).await, [401, 200, 401]);
    assert_eq!(new(&keyring).await, [200, 200, 200]);
    keyring.rotate("B", secret("whsec_b3"), minute);
    assert_eq!(old(&keyring).await, [401, 401, 401], "a rotation ends the one before");
    assert_eq!(new(&keyring).await, [200, 200, 200]);
}

#[tokio::test]
async fn removed_secret_no_longer_signs() {
    let keyring = tenants();
    assert!(keyring.remove("A") && !keyring.remove("A") && !keyring.contains("A"));
    assert_eq!(status(&keyring, "/webhooks/A", "whsec_a", of("A")).await, 401);
    assert_eq!(status(&keyring, "/webhooks/B", "whsec_b", of("B")).await, 200);
    // Without its own secret, the inbox belongs to the account again.
    keyring.set_account(Some(secret(OURS).into()));
    assert_eq!(status(&keyring, "/webhooks/A", OURS, of("A")).await, 200);
    keyring.set("A", secret("whsec_a3"));
    assert_eq!(status(&keyring, "/webhooks/A", OURS, of("A")).await, 401);
    keyring.set_account(None);
    assert_eq!(status(&keyring, "/webhooks", OURS, of("C")).await, 401);
}

/// A keyring whose database behaves as the inbox's name says.
#[derive(Debug, Clone)]
struct Database(Scope);

impl Keyring for Database {
    type Future = Pin<Box<dyn Future<Output = Result<Keys, BoxError>> + Send>>;

    fn scope(&self, _: &Parts) -> Scope {
        self.0.clone()
    }

    fn keys(&self, inbox: Option<InboxId>) -> Self::Future {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match inbox.as_ref().map(InboxId::as_str) {
                Some("down") => Err("the database is down at db.internal".into()),
                Some("hangs") => pending().await,
                // A bug: the keys of an inbox other than the requested one.
                Some("mixed up") => Ok(Keys::inbox("A".into(), secret("whsec_a").into())),
                _ => Ok(Keys::account(secret("whsec_a").into())),
            }
        })
    }
}

#[tokio::test]
async fn failing_keyring_is_answered_503() {
    for scope in [Scope::Body, Scope::Inbox("down".into())] {
        let rejected = answer(&Database(scope), post("/webhooks", "whsec_a", of("down"))).await;
        assert_eq!(rejected, (StatusCode::SERVICE_UNAVAILABLE, "unavailable".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_keyring_is_answered_503() {
    for scope in [Scope::Body, Scope::Inbox("hangs".into())] {
        let begun = tokio::time::Instant::now();
        let rejected = answer(&Database(scope), post("/webhooks", "whsec_a", of("hangs"))).await;
        assert_eq!(rejected, (StatusCode::SERVICE_UNAVAILABLE, "unavailable".into()));
        // Once through the layer, and once without tower.
        assert_eq!(begun.elapsed().as_secs(), 2 + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn body_can_be_evicted_while_its_keys_are_looked_up() {
    let of = |inbox, bytes| {
        let text = "a".repeat(bytes);
        format!(
            r#"{{"event":"message.received","inbox_id":"{inbox}","message":{{"id":"m",
                "from":"a@b.c","body_text":"{text}"}}}}"#
        )
    };
    let (recorder, _) = inner();
    let layer = VerifyLayer::with_keyring(Database(Scope::Body)).clock(clock(0));
    let service = layer.body_limit(400_000).body_budget(1 << 20).layer(recorder);
    let begun = tokio::time::Instant::now();
    let hangs = service.clone().oneshot(post("/webhooks", "whsec_a", of("hangs", 300_000)));
    let hangs = tokio::spawn(hangs);
    tokio::task::yield_now().await;
    let good = service.oneshot(post("/webhooks", "whsec_a", of("C", 390_000))).await.unwrap();
    assert_eq!((good.status(), begun.elapsed().as_secs()), (StatusCode::OK, 0));
    let evicted = hangs.await.unwrap().unwrap();
    assert_eq!(evicted.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 0);
}

#[tokio::test]
async fn event_must_carry_the_inbox_of_its_keys() {
    let rejected = (StatusCode::UNAUTHORIZED, "inbox_mismatch".to_owned());
    let named = Database(Scope::Inbox("C".into()));
    assert_eq!(answer(&named, post("/webhooks", "whsec_a", of("D"))).await, rejected);
    assert_eq!(answer(&named, post("/webhooks", "whsec_a", of("C"))).await.0, 200);
    let mixed_up = Database(Scope::Body);
    assert_eq!(answer(&mixed_up, post("/webhooks", "whsec_a", of("mixed up"))).await, rejected);
    let mixed_up = Database(Scope::Inbox("mixed up".into()));
    assert_eq!(answer(&mixed_up, post("/webhooks", "whsec_a", of("A"))).await, rejected);
}

#[tokio::test]
async fn lookup_may_be_dropped() {
    let (recorder, seen) = inner();
    let service = VerifyLayer::with_keyring(Database(Scope::Body)).clock(clock(0)).layer(recorder);
    let hangs = service.clone().oneshot(post("/webhooks", "whsec_a", of("hangs")));
    tokio::select! {
        biased;
        _ = hangs => unreachable!("it hangs"),
        () = async { for _ in 0..8 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(seen.count(), 0);
    service.oneshot(post("/webhooks", "whsec_a", of("C"))).await.unwrap();
    assert_eq!(seen.count(), 1);
}
