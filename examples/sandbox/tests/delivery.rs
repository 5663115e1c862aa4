//! Deliveries to a receiver, and the faults that can be set.

mod support;

use http::Method;
use jiff::Timestamp;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use support::{Local, Receiver, mail};

async fn with_webhook(url: &str) -> Local {
    let url = url.to_owned();
    Local::with(|options| options.webhook = Some(url)).await
}

#[tokio::test]
async fn delivery_is_signed_with_the_accounts_secret() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(&url).await;
    let mut letter = mail("Order 42");
    letter["category"] = json!("personal");
    letter["autoReplyable"] = json!(true);
    let id = local.receive(letter).await;
    let got = receiver.got_at_least(1).await.remove(0);
    assert!(got.verifies(&local.secret) && !got.verifies("whsec_other"));
    let message = &got.json["message"];
    assert_eq!((&got.json["event"], &message["id"]), (&json!("message.received"), &json!(id)));
    assert_eq!(message["from"], "Ada Lovelace <ada@example.com>");
    assert_eq!(
        (&message["subject"], &message["category"]),
        (&json!("Order 42"), &json!("personal"))
    );
    let [delivery] = &local.deliveries(&id, |all| all[0]["status"] != "pending").await[..] else {
        panic!()
    };
    assert_eq!(
        (&delivery["status"], &delivery["attempts"][0]["status"]),
        (&json!("delivered"), &json!(200))
    );
    local.stop().await;
}

#[tokio::test]
async fn failing_receiver_gets_five_recorded_attempts() {
    let (receiver, url) = Receiver::start().await;
    for _ in 0..5 {
        receiver.answer(500, "handler_failed");
    }
    let local = with_webhook(&url).await;
    let id = local.receive(mail("Order 42")).await;
    let all = local.deliveries(&id, |all| all[0]["status"] == "failed").await;
    let attempts = all[0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 5);
    for (attempt, number) in attempts.iter().zip(1..) {
        assert_eq!(attempt["number"], number);
        assert_eq!(
            (&attempt["status"], &attempt["error"]),
            (&json!(500), &json!("handler_failed"))
        );
    }
    let numbers: Vec<_> = receiver.got().iter().map(|got| got.json["attempt"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(receiver.got().iter().all(|got| got.verifies(&local.secret)));

    let again = format!("/sandbox/deliveries/{}/again", all[0]["id"].as_str().unwrap());
    assert_eq!(local.control(Method::POST, &again, Value::Null).await.0, 201);
    let got = receiver.got_at_least(6).await;
    assert_eq!(
        (&got[5].json["attempt"], &got[5].json["event_id"]),
        (&json!(1), &got[0].json["event_id"])
    );
    local.stop().await;
}

#[tokio::test]
async fn refused_connection_is_a_failed_attempt_with_its_reason() {
    let local = with_webhook("http://127.0.0.1:1/webhooks").await;
    let id = local.receive(mail("Order 42")).await;
    let all = local.deliveries(&id, |all| !all[0]["attempts"].as_array().unwrap().is_empty()).await;
    let attempt = &all[0]["attempts"][0];
    assert!(attempt["status"].is_null() && attempt["failure"].is_string(), "{attempt}");
    local.stop().await;
}

#[tokio::test]
async fn inbox_with_its_own_webhook_has_its_own_secret() {
    let (account, account_url) = Receiver::start().await;
    let (own, own_url) = Receiver::start().await;
    let local = with_webhook(&account_url).await;
    let change = json!({"webhookUrl": own_url});
    let (_, inbox) = local.call(Method::PATCH, "/v1/inboxes/inb_support", Some(change)).await;
    local.receive(mail("Order 42")).await;
    let got = own.got_at_least(1).await;
    assert!(got[0].verifies(inbox["webhookSecret"].as_str().unwrap()));
    assert!(account.got().is_empty());
    local.stop().await;
}

/// An inbox with its own webhook. Retries are slow enough for a change to come between two
/// attempts.
async fn with_own_webhook(url: &str) -> Local {
    Local::with(|options| {
        options.inboxes = vec![format!("inb_own=own@sandbox.test={url}").parse().unwrap()];
        options.speed = 30.0;
    })
    .await
}

#[tokio::test]
async fn rotated_secret_signs_the_remaining_attempts() {
    let (receiver, url) = Receiver::start().await;
    let local = with_own_webhook(&url).await;
    receiver.answer(401, "signature_mismatch");
    let mut letter = mail("Order 42");
    letter["to"] = json!("own@sandbox.test");
    local.receive(letter).await;
    receiver.got_at_least(1).await;
    let path = "/v1/inboxes/inb_own/webhook/rotate-secret";
    let (_, rotated) = local.call(Method::POST, path, None).await;
    let secret = rotated["webhookSecret"].as_str().unwrap();
    let got = receiver.got_at_least(2).await;
    assert!(!got[0].verifies(secret) && got[1].verifies(secret));
    local.stop().await;
}

#[tokio::test]
async fn corrected_url_is_shown_with_the_attempts_that_used_it() {
    let (wrong, wrong_url) = Receiver::start().await;
    let (right, right_url) = Receiver::start().await;
    let local = with_own_webhook(&wrong_url).await;
    wrong.answer(404, "not_found");
    let mut letter = mail("Order 42");
    letter["to"] = json!("own@sandbox.test");
    let id = local.receive(letter).await;
    wrong.got_at_least(1).await;
    let change = json!({"webhookUrl": right_url});
    local.call(Method::PATCH, "/v1/inboxes/inb_own", Some(change)).await;
    right.got_at_least(1).await;
    let all = local.deliveries(&id, |all| all[0]["status"] == "delivered").await;
    assert_eq!(all[0]["url"], right_url);
    let page = local.client.get(format!("{}/?mail={id}", local.url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("POST {wrong_url}\n")), "{page}");
    assert!(page.contains(&format!("POST {right_url}\n")), "{page}");
    assert!(page.contains(&format!("curl -sSi -X POST '{right_url}'")), "{page}");
    local.stop().await;
}

#[tokio::test]
async fn suspension_is_announced_and_sends_are_refused() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(&url).await;
    let why = json!({"reason": "high_bounce_rate"});
    local.control(Method::POST, "/sandbox/inboxes/inb_support/suspend", why).await;
    let event = receiver.got_at_least(1).await[0].json.clone();
    assert_eq!(
        (&event["event"], &event["reason"]),
        (&json!("inbox.suspended"), &json!("high_bounce_rate"))
    );
    assert_eq!(event["inbox_address"], "support@sandbox.test");
    let letter = json!({"to": "ada@example.com", "subject": "Hello", "body": "Hello"});
    let (status, body) = local.send("inb_support", "1", letter.clone()).await;
    assert_eq!((status, &body["error"]), (403, &json!("reputation_suspended")));

    local.control(Method::POST, "/sandbox/inboxes/inb_support/reactivate", Value::Null).await;
    let event = receiver.got_at_least(2).await[1].json.clone();
    assert_eq!((&event["event"], &event["reason"]), (&json!("inbox.reactivated"), &Value::Null));
    assert_eq!(local.send("inb_support", "1", letter.clone()).await.0, 200);

    let pod = local.get("/v1/pods").await["data"][0]["id"].as_str().unwrap().to_owned();
    local.control(Method::POST, &format!("/sandbox/pods/{pod}/suspend"), json!({})).await;
    let event = receiver.got_at_least(3).await[2].json.clone();
    assert_eq!((&event["event"], &event["inbox_id"]), (&json!("pod.suspended"), &Value::Null));
    assert_eq!(local.send("inb_support", "2", letter).await.0, 403);
    local.stop().await;
}

#[tokio::test]
async fn faults_apply_as_often_as_set_and_a_cut_request_is_carried_out() {
    let local = Local::start().await;
    let letter = json!({"to": "ada@example.com", "subject": "Hello", "body": "Hello"});
    for (answer, want) in [("429", 429), ("402", 402), ("500", 500)] {
        let fault = json!({"requests": {"answer": answer, "count": 2, "scope": "send"}});
        local.control(Method::PUT, "/sandbox/faults", fault).await;
        local.get("/v1/inboxes").await;
        for _ in 0..2 {
            let (status, _) = local.send("inb_support", answer, letter.clone()).await;
            assert_eq!(status, want);
        }
        assert_eq!(local.send("inb_support", answer, letter.clone()).await.0, 200);
    }
    let fault = json!({"requests": {"answer": "cut", "count": 1}});
    local.control(Method::PUT, "/sandbox/faults", fault).await;
    let path = "/v1/inboxes/inb_support/send";
    let cut = local.request(Method::POST, path).header("Idempotency-Key", "cut").json(&letter);
    cut.send().await.expect_err("the connection is closed");
    assert_eq!(local.get("/v1/inboxes/inb_support/messages").await["total"], 4);
    local.send("inb_support", "cut", letter).await;
    assert_eq!(local.get("/v1/inboxes/inb_support/messages").await["total"], 4);
    local.stop().await;
}

#[tokio::test]
async fn events_can_be_duplicated_shuffled_and_signed_by_a_wrong_clock() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(&url).await;
    local.control(Method::PUT, "/sandbox/faults", json!({"deliverTwice": true})).await;
    local.receive(mail("Twice")).await;
    let got = receiver.got_at_least(2).await;
    assert_eq!(got[0].json["event_id"], got[1].json["event_id"]);

    local.control(Method::PUT, "/sandbox/faults", json!({"outOfOrder": true})).await;
    local.receive(mail("First")).await;
    local.receive(mail("Second")).await;
    let got = receiver.got_at_least(4).await;
    let subjects: Vec<_> =
        got[2..].iter().map(|got| got.json["message"]["subject"].clone()).collect();
    assert_eq!(subjects, ["Second", "First"]);

    local.control(Method::PUT, "/sandbox/faults", json!({"clockOffsetSeconds": -3600})).await;
    local.receive(mail("Late")).await;
    let got = receiver.got_at_least(5).await;
    let stamp: i64 = got[4].headers["x-timestamp"].to_str().unwrap().parse().unwrap();
    let off = Timestamp::now().as_second() - stamp;
    assert!((3590..3700).contains(&off), "{off}");
    assert!(!got[4].verifies(&local.secret), "it is stale");
    local.stop().await;
}

#[tokio::test]
async fn resent_mail_is_a_new_mail_with_the_same_message_id() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(&url).await;
    let id = local.receive(mail("Order 42")).await;
    local.control(Method::POST, &format!("/sandbox/mails/{id}/again"), Value::Null).await;
    let got = receiver.got_at_least(2).await;
    let field = |place: usize, name: &str| got[place].json["message"][name].clone();
    assert_eq!(field(0, "rfc_message_id"), field(1, "rfc_message_id"));
    assert_ne!(field(0, "id"), field(1, "id"));
    assert_ne!(got[0].json["event_id"], got[1].json["event_id"]);
    local.stop().await;
}

#[tokio::test]
async fn state_file_keeps_mail_keys_and_unfinished_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let (receiver, url) = Receiver::start().await;
    receiver.answer(503, "unavailable");
    let start = |webhook: Option<String>| {
        let state = Some(file.clone());
        Local::with(move |options| {
            options.state = state;
            options.webhook = webhook;
            // The second attempt is due after 3 s.
            options.speed = 10.0;
        })
    };
    let local = start(Some(url)).await;
    let (key, secret) = (local.key.clone(), local.secret.clone());
    let id = local.receive(mail("Order 42")).await;
    receiver.got_at_least(1).await;
    local.deliveries(&id, |all| all[0]["attempts"].as_array().unwrap().len() == 1).await;
    let letter = json!({"to": "ada@example.com", "subject": "Hello", "body": "Hello"});
    let (_, sent) = local.send("inb_support", "1", letter.clone()).await;
    local.stop().await;

    let local = start(None).await;
    assert_eq!((&local.key, &local.secret), (&key, &secret));
    assert_eq!(local.send("inb_support", "1", letter).await.1, sent);
    assert_eq!(local.get("/v1/inboxes/inb_support/messages").await["total"], 2);
    local.deliveries(&id, |all| all[0]["status"] == "delivered").await;
    let got = receiver.got();
    let numbers: Vec<_> = got.iter().map(|got| got.json["attempt"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(got[0].json["event_id"], got[1].json["event_id"]);
    local.stop().await;
}

#[tokio::test]
async fn refuses_requests_from_other_origins_and_rebound_names() {
    let local = Local::start().await;
    let url = format!("{}/sandbox/faults", local.url);
    let put = || local.client.put(&url).json(&json!({}));
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let response = put().header(name, value).send().await.unwrap();
        assert_eq!(response.status(), 403, "{name}: {value}");
    }
    let own = put().header("origin", &local.url).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), 200);
    local.stop().await;
}

#[tokio::test]
async fn speed_that_is_not_positive_and_finite_is_an_error() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut options = Options::default();
        (options.listen, options.speed) = (([127, 0, 0, 1], 0).into(), speed);
        let error = Sandbox::bind(options).await.expect_err("an error");
        assert!(error.to_string().contains("greater than 0"), "{speed}: {error}");
    }
}
