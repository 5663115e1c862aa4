//! The REST API. Its responses are checked against the shapes that OpenMail documents.

mod support;

use http::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use support::{Local, Receiver, checked, mail};

const INBOX: &str = "/v1/inboxes/inb_support";

fn letter() -> Value {
    json!({"to": "ada@example.com", "subject": "Your order", "body": "It is on its way."})
}

#[tokio::test]
async fn creates_lists_changes_and_deletes_inboxes() {
    let local = Local::start().await;
    let new = json!({"mailboxName": "sales", "displayName": "Sales"});
    let (status, inbox) = local.call(Method::POST, "/v1/inboxes", Some(new.clone())).await;
    assert_eq!((status, &inbox["address"]), (201, &json!("sales@sandbox.test")));
    assert!(inbox.get("webhookSecret").is_none());
    let (status, again) = local.call(Method::POST, "/v1/inboxes", Some(new)).await;
    assert_eq!(status, 409, "{again}");

    let path = format!("/v1/inboxes/{}", inbox["id"].as_str().unwrap());
    let url = json!({"webhookUrl": "http://127.0.0.1:9/webhooks"});
    let (_, first) = local.call(Method::PATCH, &path, Some(url.clone())).await;
    assert!(first["webhookSecret"].is_string());
    let (_, second) = local.call(Method::PATCH, &path, Some(url)).await;
    assert!(second.get("webhookSecret").is_none(), "it is shown once");
    let (_, named) = local.call(Method::PATCH, &path, Some(json!({"displayName": null}))).await;
    assert_eq!(named["displayName"], Value::Null);
    assert_eq!(named["webhookUrl"], "http://127.0.0.1:9/webhooks");

    let (_, rotated) =
        local.call(Method::POST, &format!("{path}/webhook/rotate-secret"), None).await;
    assert_ne!(rotated["webhookSecret"], first["webhookSecret"]);
    let all = local.get("/v1/inboxes?limit=1&offset=1").await;
    assert_eq!((&all["total"], &all["data"][0]["id"]), (&json!(2), &inbox["id"]));

    assert_eq!(local.call(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(local.call(Method::GET, &path, None).await.0, 404);
    local.stop().await;
}

#[tokio::test]
async fn invalid_inbox_is_refused_with_its_code() {
    let local = Local::start().await;
    for (new, want, code) in [
        (json!({"mailboxName": "ab"}), 400, "bad_request"),
        (json!({"mailboxName": "a b c"}), 400, "bad_request"),
        (json!({"domain": "example.com"}), 400, "bad_request"),
        (json!({"podId": "nowhere"}), 400, "bad_request"),
        (json!({"unknown": 1}), 400, "bad_request"),
        (json!({"webhookUrl": "ftp://example.com"}), 422, "invalid_webhook_url"),
    ] {
        let (status, body) = local.call(Method::POST, "/v1/inboxes", Some(new.clone())).await;
        assert_eq!((status, &body["error"]), (want, &json!(code)), "{new}");
    }
    let (status, body) =
        local.call(Method::POST, &format!("{INBOX}/webhook/rotate-secret"), None).await;
    assert_eq!((status, &body["error"]), (400, &json!("no_webhook_url")));
    local.stop().await;
}

#[tokio::test]
async fn pod_holds_inboxes_and_is_found_by_its_client_id() {
    let local = Local::start().await;
    let (status, pod) =
        local.call(Method::POST, "/v1/pods", Some(json!({"clientId": "acme"}))).await;
    assert_eq!(status, 201);
    let (status, _) = local.call(Method::POST, "/v1/pods", Some(json!({"clientId": "acme"}))).await;
    assert_eq!(status, 409);
    assert_eq!(local.get("/v1/pods/acme").await["id"], pod["id"]);
    assert_eq!(local.get("/v1/pods").await["data"][0]["isDefault"], true);

    let (_, inbox) = local.call(Method::POST, "/v1/inboxes", Some(json!({"podId": "acme"}))).await;
    assert_eq!(inbox["podId"], pod["id"]);
    assert_eq!(local.get("/v1/inboxes?podId=acme").await["total"], 1);
    assert_eq!(local.get("/v1/inboxes?podId=nowhere").await["total"], 0);

    let (status, body) = local.call(Method::DELETE, "/v1/pods/acme", None).await;
    assert_eq!((status, &body["error"]), (409, &json!("pod_not_empty")));
    let default = local.get("/v1/pods").await["data"][0]["id"].as_str().unwrap().to_owned();
    let (status, body) = local.call(Method::DELETE, &format!("/v1/pods/{default}"), None).await;
    assert_eq!((status, &body["error"]), (409, &json!("default_pod")));
    let path = format!("/v1/inboxes/{}", inbox["id"].as_str().unwrap());
    local.call(Method::DELETE, &path, None).await;
    let (_, renamed) =
        local.call(Method::PATCH, "/v1/pods/acme", Some(json!({"name": "Acme"}))).await;
    assert_eq!((&renamed["name"], &renamed["clientId"]), (&json!("Acme"), &json!("acme")));
    assert_eq!(local.call(Method::DELETE, "/v1/pods/acme", None).await.0, 204);
    local.stop().await;
}

#[tokio::test]
async fn key_of_an_inbox_reads_and_sends_only_there() {
    let mut local = Local::start().await;
    let (_, other) = local.call(Method::POST, "/v1/inboxes", Some(json!({}))).await;
    let other = format!("/v1/inboxes/{}", other["id"].as_str().unwrap());
    let (status, key) = local
        .call(Method::POST, &format!("{INBOX}/api-keys"), Some(json!({"name": "agent"})))
        .await;
    assert_eq!(status, 201);
    let account = std::mem::replace(&mut local.key, key["token"].as_str().unwrap().to_owned());

    assert_eq!(local.send("inb_support", "1", letter()).await.0, 200);
    assert_eq!(local.get("/v1/inboxes").await["total"], 1);
    let forbidden = [
        local.call(Method::GET, &format!("{other}/messages"), None).await,
        local.send(other.rsplit('/').next().unwrap(), "2", letter()).await,
        local.call(Method::DELETE, INBOX, None).await,
        local.call(Method::PATCH, INBOX, Some(json!({"displayName": "x"}))).await,
        local.call(Method::POST, "/v1/inboxes", Some(json!({}))).await,
        local.call(Method::POST, "/v1/pods", Some(json!({}))).await,
        local.call(Method::GET, &format!("{INBOX}/api-keys"), None).await,
    ];
    for (status, body) in forbidden {
        assert_eq!((status, &body["error"]), (403, &json!("forbidden")));
    }

    local.key = account;
    let keys = local.get(&format!("{INBOX}/api-keys")).await;
    assert!(keys["data"][0]["lastUsedAt"].is_string() && keys["data"][0].get("token").is_none());
    let path = format!("{INBOX}/api-keys/{}", key["id"].as_str().unwrap());
    assert_eq!(local.call(Method::DELETE, &path, None).await.0, 204);
    local.key = key["token"].as_str().unwrap().to_owned();
    assert_eq!(local.call(Method::GET, INBOX, None).await.0, 401);
    local.stop().await;
}

#[tokio::test]
async fn send_requires_a_key_and_happens_once_per_key() {
    let local = Local::start().await;
    let (status, body) = local.call(Method::POST, &format!("{INBOX}/send"), Some(letter())).await;
    assert_eq!((status, &body["error"]), (400, &json!("missing_idempotency_key")));

    let (_, first) = local.send("inb_support", "once", letter()).await;
    let (_, second) = local.send("inb_support", "once", letter()).await;
    assert_eq!(first, second);
    let mut other = letter();
    other["body"] = json!("It is lost.");
    let (status, body) = local.send("inb_support", "once", other).await;
    assert_eq!(status, 422);
    assert!(body["error"].as_str().unwrap().contains("idempot"), "{body}");
    assert_eq!(local.get(&format!("{INBOX}/messages")).await["total"], 1);
    local.stop().await;
}

#[tokio::test]
async fn concurrent_sends_with_one_key_are_one_send() {
    let local = Local::start().await;
    let sends = (0..8).map(|_| local.send("inb_support", "once", letter()));
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|(status, body)| (*status, body) == (200, &answers[0].1)));
    assert_eq!(local.get(&format!("{INBOX}/messages")).await["total"], 1);
    local.stop().await;
}

#[tokio::test]
async fn invalid_send_is_refused_with_its_code() {
    let local = Local::start().await;
    let long = "x".repeat(100_001);
    for (field, value, want) in [
        ("to", json!("Ada <ada@example.com>"), 400),
        ("to", json!("a@example.com, b@example.com"), 400),
        ("cc", json!(["nobody"]), 400),
        ("replyTo", json!("nobody"), 400),
        ("subject", Value::Null, 400),
        ("subject", json!(""), 400),
        ("subject", json!("x".repeat(999)), 400),
        ("body", json!(""), 400),
        ("body", json!(long), 400),
        ("threadId", json!("thr_none"), 404),
    ] {
        let mut body = letter();
        body[field] = value;
        let (status, answer) = local.send("inb_support", field, body).await;
        let code = if want == 404 { "not_found" } else { "bad_request" };
        assert_eq!((status, &answer["error"]), (want, &json!(code)), "{field}: {answer}");
    }
    assert_eq!(local.send("inb_none", "1", letter()).await.0, 404);
    assert_eq!(local.get(&format!("{INBOX}/messages")).await["total"], 0);
    local.stop().await;
}

#[tokio::test]
async fn eleventh_mail_in_a_minute_is_refused_with_retry_after() {
    let local = Local::start().await;
    for number in 0..10 {
        assert_eq!(local.send("inb_support", &number.to_string(), letter()).await.0, 200);
    }
    let path = format!("{INBOX}/send");
    let request =
        local.request(Method::POST, &path).header("Idempotency-Key", "11").json(&letter());
    let response = request.send().await.unwrap();
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(response.headers()["x-ratelimit-limit"], "10");
    let (status, body) = checked(&Method::POST, &path, response).await;
    assert_eq!((status, &body["error"]), (429, &json!("rate_limit_exceeded")));
    // A key that was used before gets its earlier response despite the limit.
    assert_eq!(local.send("inb_support", "3", letter()).await.0, 200);

    local.control(Method::PUT, "/sandbox/faults", json!({"sendLimits": false})).await;
    assert_eq!(local.send("inb_support", "11", letter()).await.0, 200);
    local.stop().await;
}

#[tokio::test]
async fn reply_joins_its_thread_quotes_it_and_marks_it_read() {
    let local = Local::start().await;
    let id = local.receive(mail("Order 42")).await;
    let threads = local.get(&format!("{INBOX}/threads?is_read=false")).await;
    assert_eq!(threads["total"], 1);
    let thread = threads["data"][0]["id"].as_str().unwrap().to_owned();

    let reply = json!({"to": "ada@example.com", "body": "It is on its way.", "threadId": thread});
    let (_, sent) = local.send("inb_support", "1", reply.clone()).await;
    assert_eq!(sent["threadId"], thread);
    let messages = local.get(&format!("/v1/threads/{thread}/messages")).await;
    assert_eq!(messages["isRead"], true);
    let [received, answer] = &messages["data"].as_array().unwrap()[..] else { panic!() };
    assert_eq!((&received["id"], &received["status"]), (&json!(id), &json!("received")));
    assert_eq!(received["deliveryRole"], "to");
    assert_eq!(received["headerTo"], "support@sandbox.test");
    assert_eq!(answer["subject"], "Re: Order 42");
    let text = answer["bodyText"].as_str().unwrap();
    assert!(text.starts_with("It is on its way.\n\nOn "), "{text}");
    assert!(text.ends_with("> Where is my order?"), "{text}");

    let mut bare = reply;
    bare["includeQuote"] = json!(false);
    local.send("inb_support", "2", bare).await;
    let newest = local.get(&format!("{INBOX}/messages?direction=outbound&limit=1")).await;
    assert_eq!(newest["data"][0]["bodyText"], "It is on its way.");

    let path = format!("/v1/threads/{thread}");
    local.call(Method::PATCH, &path, Some(json!({"is_read": false}))).await;
    assert_eq!(local.get(&format!("{INBOX}/threads?is_read=true")).await["total"], 0);
    local.stop().await;
}

#[tokio::test]
async fn mail_between_inboxes_arrives_and_its_reply_joins_the_thread() {
    let (receiver, url) = Receiver::start().await;
    let local = Local::with(|options| {
        options.inboxes =
            ["inb_a=a@sandbox.test", "inb_b=b@sandbox.test"].map(|it| it.parse().unwrap()).into();
        options.webhook = Some(url);
    })
    .await;
    let letter = json!({"to": "b@sandbox.test", "subject": "Hello", "body": "Are you there?"});
    let (_, sent) = local.send("inb_a", "1", letter).await;
    let event = &receiver.got_at_least(1).await[0].json;
    assert_eq!(
        (&event["inbox_id"], &event["message"]["from"]),
        (&json!("inb_b"), &json!("a@sandbox.test"))
    );

    let answer = json!({
        "to": "a@sandbox.test", "body": "Yes.", "threadId": event["thread_id"], "includeQuote": false,
    });
    local.send("inb_b", "2", answer).await;
    let event = &receiver.got_at_least(2).await[1].json;
    assert_eq!((&event["inbox_id"], &event["thread_id"]), (&json!("inb_a"), &sent["threadId"]));
    assert_eq!(event["message"]["body_text"], "Yes.");
    local.stop().await;
}

#[tokio::test]
async fn reply_from_an_inbox_in_cc_copies_the_sender() {
    let local = Local::start().await;
    let mut copied = mail("Order 42");
    copied["to"] = json!("Bob <bob@example.com>");
    copied["cc"] = json!("support@sandbox.test");
    local.receive(copied).await;
    let message = &local.get(&format!("{INBOX}/messages")).await["data"][0];
    assert_eq!(
        (&message["deliveryRole"], &message["headerTo"]),
        (&json!("cc"), &json!("bob@example.com"))
    );

    let reply = json!({"to": "bob@example.com", "body": "Yes.", "threadId": message["threadId"]});
    local.send("inb_support", "1", reply).await;
    let sent = &local.get(&format!("{INBOX}/messages")).await["data"][0];
    assert_eq!(sent["cc"], json!(["ada@example.com"]));
    local.stop().await;
}

#[tokio::test]
async fn attachments_are_sent_as_a_form_and_downloaded_until_they_expire() {
    let local = Local::start().await;
    let part = |text: &str| Part::text(text.to_owned()).file_name("order list.csv");
    let form = Form::new()
        .text("to", "ada@example.com")
        .text("subject", "Your order")
        .text("body", "See the list.")
        .text("cc", "bob@example.com")
        .part("attachments", part("one").mime_str("text/csv").unwrap())
        .part("attachments", part("two"))
        .part("attachments", Part::bytes(vec![0, 1]).file_name("photo.png"));
    let path = format!("{INBOX}/send");
    let request = local.request(Method::POST, &path).header("Idempotency-Key", "1").multipart(form);
    let (status, sent) = checked(&Method::POST, &path, request.send().await.unwrap()).await;
    assert_eq!(status, 200, "{sent}");

    let message = &local.get(&format!("{INBOX}/messages")).await["data"][0];
    assert_eq!(message["cc"], json!(["bob@example.com"]));
    let files = message["attachments"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    let mut fetched = Vec::new();
    for file in files {
        let url = file["url"].as_str().unwrap();
        let response = local.client.get(url).bearer_auth(&local.key).send().await.unwrap();
        assert_eq!(response.status(), 302);
        let signed = response.headers()["location"].to_str().unwrap().to_owned();
        assert!(!signed.starts_with(&local.url), "{signed}");
        let bytes = local.client.get(&signed).send().await.unwrap().bytes().await.unwrap();
        fetched.push((signed, bytes));
    }
    let bytes: Vec<&[u8]> = fetched.iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(bytes, [&b"one"[..], b"two", &[0, 1]]);
    assert_eq!(files[2]["contentType"], "image/png");

    let at = |file: &Value| file["url"].as_str().unwrap()[local.url.len()..].to_owned();
    let (url, query) = (at(&files[1]), "?part=2");
    let path = format!("{}/text{query}", url.strip_suffix(query).unwrap());
    let text = local.get(&path).await;
    assert_eq!((&text["text"], &text["filename"]), (&json!("two"), &json!("order list.csv")));
    let (status, _) = local.call(Method::GET, &format!("{}/text", at(&files[2])), None).await;
    assert_eq!(status, 422);
    let missing = format!("/v1/attachments/{}/none.txt", sent["messageId"].as_str().unwrap());
    assert_eq!(local.call(Method::GET, &missing, None).await.0, 404);

    let signed = &fetched[0].0;
    let forged = signed.replace("expires=", "expires=9");
    assert_eq!(local.client.get(forged).send().await.unwrap().status(), 403);
    let keyless = local.client.get(files[0]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(keyless.status(), 401);
    local.control(Method::POST, "/sandbox/attachments/expire", Value::Null).await;
    assert_eq!(local.client.get(signed).send().await.unwrap().status(), 403);
    local.stop().await;
}

#[tokio::test]
async fn refuses_wrong_keys_paths_and_methods_as_openmail_does() {
    let mut local = Local::start().await;
    let key = std::mem::replace(&mut local.key, "om_wrong".to_owned());
    let (status, body) = local.call(Method::GET, "/v1/inboxes", None).await;
    assert_eq!((status, &body["error"]), (401, &json!("unauthorized")));
    local.key = key;
    let wrong = [
        (Method::GET, "/v1/nothing", "not_found"),
        (Method::PUT, INBOX, "method_not_allowed"),
        (Method::GET, "/v1/inboxes/%FF", "bad_request"),
        (Method::GET, "/v1/inboxes?limit=x", "bad_request"),
        (Method::GET, "/v1/attachments/msg/file?part=x", "bad_request"),
        (Method::GET, "/v1/inboxes/inb_support/messages?direction=x", "bad_request"),
    ];
    for (method, path, want) in wrong {
        let body: Value = local.request(method, path).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["error"], want);
        assert!(body["message"].is_string());
    }
    local.stop().await;
}

#[tokio::test]
async fn webhook_test_reports_whether_the_receiver_accepts_it() {
    let (receiver, url) = Receiver::start().await;
    let local = Local::start().await;
    let path = format!("{INBOX}/webhook/test");
    let (status, body) = local.call(Method::POST, &path, None).await;
    assert_eq!((status, &body["error"]), (400, &json!("no_webhook_url")));

    let (_, inbox) = local.call(Method::PATCH, INBOX, Some(json!({"webhookUrl": url}))).await;
    let (status, body) = local.call(Method::POST, &path, None).await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)));
    let got = &receiver.got()[0];
    assert_eq!(got.json["event"], "setup.test");
    assert!(got.verifies(inbox["webhookSecret"].as_str().unwrap()));

    receiver.answer(401, "signature_mismatch");
    let (status, body) = local.call(Method::POST, &path, None).await;
    assert_eq!((status, &body["error"]), (502, &json!("webhook_failed")));
    local.stop().await;
}
