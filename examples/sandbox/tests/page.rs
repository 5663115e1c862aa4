//! The page and its forms over HTTP, without a browser.

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{Local, Receiver, mail};

#[tokio::test]
async fn form_error_is_shown_and_keeps_the_input() {
    let local = Local::start().await;
    let form = || {
        reqwest::multipart::Form::new()
            .text("from", "nobody")
            .text("to", "support@sandbox.test")
            .text("subject", "Order <42>")
            .text("text", "Where is it?")
            .text("category", "automated")
            .text("verdict", "")
            .text("autoReplyable", "false")
            .text("replyToMessage", "msg_7")
    };
    let post = async |form| {
        let response = local.client.post(format!("{}/page/mail", local.url)).multipart(form);
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), 422);
        response.text().await.unwrap()
    };
    let again = "choose them again";
    let page = post(form()).await;
    assert!(!page.contains(again), "there were none");
    let file = reqwest::multipart::Part::text("x").file_name("a.txt");
    let page_of_files = post(form().part("files", file)).await;
    assert!(page_of_files.contains(again));
    // The script, and a browser that opens the form's address again, are redirected to the page.
    let response = local.client.get(format!("{}/page/mail", local.url)).send().await.unwrap();
    assert_eq!(response.headers()["location"], "/?view=compose");
    for page in [page, page_of_files] {
        assert!(page.contains("role=\"alert\"") && page.contains("Order &lt;42&gt;"));
        assert!(page.contains("Where is it?") && page.contains("value=\"msg_7\""));
        for chosen in ["automated\" selected", "\" selected>Not set", "false\" selected"] {
            assert!(page.contains(chosen), "{chosen}");
        }
    }
    local.stop().await;
}

#[tokio::test]
async fn page_rejects_an_invalid_number_in_the_form_for_faults() {
    let local = Local::start().await;
    let post = async |count: &str, clock: &str| {
        let form = [("back", "/?view=settings"), ("answer", "429"), ("count", count)];
        let request = local.client.post(format!("{}/page/faults", local.url));
        let response = request.form(&[&form[..], &[("clock", clock)]].concat()).send().await;
        let place = response.unwrap().headers()["location"].to_str().unwrap().to_owned();
        let page = local.client.get(format!("{}{place}", local.url)).send().await.unwrap();
        let (_, faults) = local.control(Method::GET, "/sandbox/faults", Value::Null).await;
        (page.text().await.unwrap(), faults["clockOffsetSeconds"].clone())
    };
    let (page, offset) = post("1", "-3600").await;
    assert!(page.contains("Saved.") && offset == -3600, "{offset}");
    for clock in ["", "5 minutes", "1.5", "315360001", "-9223372036854775808"] {
        let (page, offset) = post("1", clock).await;
        assert!(page.contains("offset must be a whole number of seconds"), "{clock}");
        assert_eq!(offset, -3600, "an error changes nothing");
    }
    for count in ["", "0", "-1", "many", "1001"] {
        let (page, offset) = post(count, "0").await;
        assert!(page.contains("must be a whole number from 1 to 1000"), "{count}");
        assert_eq!(offset, -3600, "an error changes nothing");
    }
    let far = json!({"clockOffsetSeconds": i64::MAX});
    let (status, body) = local.control(Method::PUT, "/sandbox/faults", far).await;
    assert_eq!((status, &body["error"]), (400, &json!("bad_request")), "{body}");
    let none = json!({"requests": {"answer": "429", "count": 0}});
    let (status, body) = local.control(Method::PUT, "/sandbox/faults", none).await;
    assert_eq!((status, &body["error"]), (400, &json!("bad_request")), "{body}");
    local.stop().await;
}

#[tokio::test]
async fn rejected_settings_are_shown_as_they_were_entered() {
    let local = Local::start().await;
    let post = async |form: &str, fields: &[(&str, &str)]| {
        let fields = [&[("back", "/?view=settings")], fields].concat();
        let request = local.client.post(format!("{}/page/{form}", local.url)).form(&fields);
        let place = request.send().await.unwrap().headers()["location"].clone();
        let page = format!("{}{}", local.url, place.to_str().unwrap());
        local.client.get(page).send().await.unwrap().text().await.unwrap()
    };
    let page = post("account/webhook", &[("url", "http://a.example/"), ("secret", " x ")]).await;
    for part in ["role=\"alert\"", "secret is not usable", "http://a.example/", "value=\" x \""] {
        assert!(page.contains(part), "{part}");
    }
    let fields = [("address", "support@sandbox.test"), ("url", "http://b.example/")];
    let page = post("inboxes", &fields).await;
    for part in ["role=\"alert\"", "value=\"support@sandbox.test\"", "http://b.example/"] {
        assert!(page.contains(part), "{part}");
    }
    let fields = [("answer", "402"), ("count", "0"), ("scope", "send"), ("clock", "7")];
    let page = post("faults", &[&fields[..], &[("twice", "true")]].concat()).await;
    let checked = "name=\"twice\" value=\"true\" checked";
    for part in ["402\" selected", "value=\"0\"", "send\" selected", "value=\"7\"", checked] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("name=\"limits\" value=\"true\" checked"), "it was not entered");
    let request = local.client.get(format!("{}/?view=settings", local.url));
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("402\" selected") && !page.contains("a.example"), "nothing changed");
    local.stop().await;
}

#[tokio::test]
async fn page_says_that_its_mail_does_not_exist() {
    let local = Local::start().await;
    local.receive(mail("Order 42")).await;
    for (place, what) in [("mail=msg_7", "message"), ("thread=x", "thread"), ("inbox=x", "inbox")] {
        let page = local.client.get(format!("{}/?{place}", local.url)).send().await.unwrap();
        assert_eq!(page.status(), 404);
        let page = page.text().await.unwrap();
        assert!(page.contains(&format!("There is no such {what}.")), "{place}");
        assert!(!page.contains("role=\"log\""), "{place}: another mail is shown");
    }
    let page = local.client.get(format!("{}/?notice=x", local.url)).send().await.unwrap();
    assert_eq!(page.status(), 200, "a notice that does not exist is left out");
    local.stop().await;
}

#[tokio::test]
async fn page_shows_only_the_beginning_of_a_long_mail() {
    let (receiver, url) = Receiver::start().await;
    let local = Local::with(|options| options.webhook = Some(url)).await;
    let mut letter = mail("Order 42");
    // Each character has three bytes, so that the limit falls inside a character.
    letter["text"] = json!("€".repeat(300_000));
    let id = local.receive(letter).await;
    local.deliveries(&id, |all| all[0]["status"] == "delivered").await;
    assert_eq!(receiver.got()[0].json["message"]["body_text"].as_str().unwrap().len(), 900_000);
    let page = local.client.get(format!("{}/?mail={id}", local.url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("Only the first 64 KiB of 879 KiB are shown."));
    assert!(!page.contains("Copy as curl"), "a shell could not run it");
    local.stop().await;
}

#[tokio::test]
async fn file_keeps_the_quotation_mark_in_its_name() {
    let local = Local::start().await;
    // As browsers write it.
    let part = |head: &str, body: &str| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    };
    let form = [
        part("name=\"from\"", "ada@example.com"),
        part("name=\"to\"", "support@sandbox.test"),
        part("name=\"files\"; filename=\"5%22 pipe.txt\"", "steel"),
        "--x--\r\n".to_owned(),
    ];
    let request = local.client.post(format!("{}/sandbox/mails", local.url)).body(form.concat());
    let request = request.header("content-type", "multipart/form-data; boundary=x");
    let mails: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(mails["data"][0]["attachments"][0]["filename"], "5\" pipe.txt", "{mails}");
    local.stop().await;
}

#[tokio::test]
async fn first_steps_do_not_show_the_accounts_secret_for_an_inbox_with_its_own() {
    let inbox = "inb_a=a@sandbox.test=http://127.0.0.1:1/".parse().unwrap();
    let local = Local::with(|options| options.inboxes = vec![inbox]).await;
    let page = local.client.get(&local.url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("No mail yet") && page.contains("http://127.0.0.1:1/"));
    assert!(!page.contains(&local.secret), "that is the account's");
    local.stop().await;
}

#[tokio::test]
async fn form_redirects_only_to_the_page_itself() {
    let local = Local::start().await;
    for back in ["//evil.example/", "https://evil.example/", "/\\evil.example", ""] {
        let url = format!("{}/page/attachments/expire", local.url);
        let response = local.client.post(url).form(&[("back", back)]).send().await.unwrap();
        let place = response.headers()["location"].to_str().unwrap();
        assert!(place.starts_with("/?"), "{place}");
    }
    local.stop().await;
}

#[tokio::test]
async fn each_button_of_a_webhooks_form_saves_it() {
    let (receiver, url) = Receiver::start().await;
    let local = Local::start().await;
    let press = async |action: &str, url: &str| {
        let form = [("back", "/?view=settings"), ("url", url), ("secret", &local.secret)];
        let request = local.client.post(format!("{}/page/{action}", local.url)).form(&form);
        let response = request.send().await.unwrap();
        let place = response.headers()["location"].to_str().unwrap();
        let page = local.client.get(format!("{}{place}", local.url)).send().await.unwrap();
        page.text().await.unwrap()
    };
    for (number, form) in ["account", "inboxes/inb_support"].into_iter().enumerate() {
        let page = press(&format!("{form}/test"), &url).await;
        assert!(page.contains("accepted the test event") && page.contains(&url), "{form}");
        assert_eq!(receiver.got().len(), 2 * number + 1);
        receiver.answer(401, "signature_mismatch");
        let page = press(&format!("{form}/test"), &url).await;
        assert!(page.contains("401 Unauthorized (signature_mismatch)"), "{form}");

        let page = press(&format!("{form}/test"), "example.com").await;
        assert!(page.contains("must be a URL") && page.contains("role=\"alert\""), "{form}");
        assert!(page.contains("value=\"example.com\""), "{form}: what was entered is lost");
        assert_eq!(receiver.got().len(), 2 * number + 2, "{form}: a rejected URL is not tested");

        let moved = format!("{url}/{number}");
        let page = press(&format!("{form}/rotate"), &moved).await;
        assert!(page.contains("the receiver needs the new one") && page.contains(&moved), "{form}");
        let page = press(&format!("{form}/webhook"), "").await;
        assert!(page.contains("Saved.") && !page.contains(&moved), "{form}");
    }
    local.stop().await;
}
