//! The page in a browser, for which `.ci/services` installs what is needed.

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{
    Local, Receiver,
    browser::{click, fill, in_browser, script, text_with},
    mail,
};

async fn with_webhook(url: String, speed: f64) -> Local {
    Local::with(|options| {
        options.webhook = Some(url);
        options.speed = speed;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn page_shows_a_mail_its_delivery_and_its_reply() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(url, 1.0).await;
    in_browser(1400, async |browser| {
        browser.goto(&local.url).await.unwrap();
        text_with(browser, "h1", "No mail yet").await;
        text_with(browser, ".live", "Live").await;
        click(browser, ".bar .primary").await;
        fill(browser, "#from", "Ada Lovelace <ada@example.com>").await;
        fill(browser, "#subject", "Order 42").await;
        fill(browser, "#text", "Where is my order?").await;
        click(browser, "form .primary").await;
        text_with(browser, "h1", "Order 42").await;
        text_with(browser, ".conversation", "Where is my order?").await;
        let deliveries = text_with(browser, "#right", "Delivered").await;
        assert!(deliveries.contains("message.received") && deliveries.contains("200"));

        let event = receiver.got_at_least(1).await[0].json.clone();
        assert_eq!(event["message"]["body_text"], "Where is my order?");
        assert_eq!(event["message"]["auto_replyable"], true);
        let reply = json!({
            "to": "ada@example.com", "body": "It is on its way.", "threadId": event["thread_id"],
        });
        local.send("inb_support", "1", reply).await;
        text_with(browser, ".mail.sent", "It is on its way.").await;

        fill(browser, "#reply-text", "Thank you!").await;
        click(browser, "form[aria-label=Reply] .primary").await;
        text_with(browser, ".mail.selected", "Thank you!").await;
        let again = receiver.got_at_least(2).await[1].json.clone();
        assert_eq!(again["thread_id"], event["thread_id"]);
    })
    .await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn page_explains_failed_attempts_and_shows_the_next_one() {
    let (receiver, url) = Receiver::start().await;
    receiver.answer(401, "signature_mismatch");
    receiver.answer(500, "handler_failed");
    // The second attempt comes after 3 s, the third one 6 s later.
    let local = with_webhook(url, 10.0).await;
    in_browser(1400, async |browser| {
        local.receive(mail("Order 42")).await;
        browser.goto(&local.url).await.unwrap();
        let first = text_with(browser, "#right", "signature_mismatch").await;
        assert!(
            first.contains("401") && first.contains("secret is not that of this webhook"),
            "{first}"
        );
        assert!(first.contains("Next attempt"), "{first}");
        let second = text_with(browser, "#right", "handler_failed").await;
        assert!(second.contains("signature_mismatch"), "{second}");
        let last = text_with(browser, "#right", "Delivered").await;
        assert!(!last.contains("Next attempt"), "{last}");

        click(browser, "#right details summary").await;
        text_with(browser, "#right details", "x-signature").await;
        let copied = "return document.querySelector('#right pre[hidden]').textContent";
        let copied = script(browser, copied).await;
        let copied = copied.as_str().unwrap();
        // `-i` prints the status: an empty body would leave nothing to see.
        assert!(copied.starts_with("curl -sSi -X POST "), "{copied}");
        click(browser, "#right form button").await;
        receiver.got_at_least(4).await;
    })
    .await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn script_in_a_mail_is_shown_as_text() {
    let (_, url) = Receiver::start().await;
    let local = with_webhook(url, 1.0).await;
    in_browser(1400, async |browser| {
        let attack = "<script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">";
        let mut letter = mail(attack);
        letter["from"] = json!(format!("\"{attack}\" <ada@example.com>"));
        letter["text"] = json!(attack);
        letter["category"] = json!(attack);
        letter["verdict"] = json!(attack);
        local.receive(letter).await;
        browser.goto(&local.url).await.unwrap();
        let heading = text_with(browser, "h1", "script").await;
        assert_eq!(heading, attack);
        text_with(browser, ".mail .text", attack).await;
        text_with(browser, "#left", attack).await;
        // After this change, the page's script replaces the regions that differ.
        local.receive(mail("Another")).await;
        text_with(browser, "#left", "Another").await;
        let found =
            "return [window.hacked === undefined, document.querySelectorAll('main img').length]";
        assert_eq!(script(browser, found).await, json!([true, 0]));
        let policy = local.client.get(&local.url).send().await.unwrap();
        let policy = policy.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    })
    .await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn page_fits_400_px_and_begins_with_a_skip_link() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(url, 1.0).await;
    in_browser(400, async |browser| {
        let long_word = "x".repeat(500);
        let mut letter = mail(&format!("Order 42 {long_word}"));
        letter["from"] = json!(format!("{long_word} <ada@example.com>"));
        letter["text"] = json!(long_word);
        letter["category"] = json!(long_word);
        let id = local.receive(letter).await;
        receiver.got_at_least(1).await;
        for place in ["/", &format!("/?mail={id}"), "/?view=compose", "/?view=settings"] {
            browser.goto(&format!("{}{place}", local.url)).await.unwrap();
            text_with(browser, ".live", "").await;
            let fits = "const parts = [document.documentElement, document.querySelector('.middle')]; \
                        return parts.every(it => it.scrollWidth <= it.clientWidth) && innerWidth === 400";
            assert_eq!(script(browser, fits).await, json!(true), "{place} scrolls sideways");
        }
        browser.goto(&local.url).await.unwrap();
        click(browser, ".thread").await;
        text_with(browser, "h1", "Order 42").await;
        text_with(browser, "#right", "Delivered").await;
        let hidden = "return getComputedStyle(document.querySelector('.left')).display";
        assert_eq!(script(browser, hidden).await, json!("none"));

        // The first Tab reaches the link that skips the bar.
        let body = browser.active_element().await.unwrap();
        body.send_keys("\u{e004}").await.unwrap();
        let focused = script(browser, "return document.activeElement.textContent").await;
        assert_eq!(focused, json!("Skip to the mail"));
        let unnamed =
            "return [...document.querySelectorAll('input, select, textarea, button')].filter(
            it => it.type !== 'hidden' && !it.labels?.length && !it.textContent.trim()).length";
        for place in ["/", "/?view=compose", "/?view=settings"] {
            browser.goto(&format!("{}{place}", local.url)).await.unwrap();
            assert_eq!(
                script(browser, unnamed).await,
                json!(0),
                "{place} has a field without a name"
            );
        }

        browser.goto(&format!("{}/?view=settings#faults", local.url)).await.unwrap();
        let is_seen = "const [bar, faults] = ['.bar', '#faults'].map( \
                       it => document.querySelector(it).getBoundingClientRect()); \
                       return scrollY > 0 && faults.top >= bar.bottom";
        assert_eq!(script(browser, is_seen).await, json!(true), "the bar covers the heading");
    })
    .await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn focus_is_kept_when_the_page_changes() {
    let (_, url) = Receiver::start().await;
    let local = with_webhook(url, 1.0).await;
    in_browser(1400, async |browser| {
        let id = local.receive(mail("Order 1")).await;
        let deliveries = local.deliveries(&id, |all| all[0]["status"] == "delivered").await;
        let again = format!("/sandbox/deliveries/{}/again", deliveries[0]["id"].as_str().unwrap());
        browser.goto(&format!("{}/?mail={id}", local.url)).await.unwrap();
        text_with(browser, ".live", "Live").await;
        let focusable = [
            ".thread[aria-current]",
            "#conversation form button",
            "#right li:last-child summary",
            "#right .delivery:last-child [data-copy]",
        ];
        for (number, selector) in focusable.into_iter().enumerate() {
            let name = "return [it.tagName, it.href, it.form?.action, it.dataset.copy, \
                        it.closest('details')?.id]";
            let focus = format!(
                "const all = document.querySelectorAll(arguments[0]); \
                 const it = all[all.length - 1]; it.focus(); {name}"
            );
            let focused = browser.execute(&focus, vec![json!(selector)]).await.unwrap();
            // Each of the three regions changes.
            let text = format!("News {number}");
            let mut letter = mail("Order 1");
            (letter["text"], letter["replyToMessage"]) = (json!(text), json!(id));
            local.receive(letter).await;
            local.control(Method::POST, &again, Value::Null).await;
            text_with(browser, "#left", &text).await;
            text_with(browser, ".conversation", &text).await;
            let newest = format!("#right .delivery:nth-last-of-type({})", number + 2);
            text_with(browser, &newest, "Delivered").await;
            let now = script(browser, &format!("const it = document.activeElement; {name}")).await;
            assert_eq!(now, focused, "{selector}");
        }
        let columns_only = "const page = document.documentElement; \
                            return page.scrollHeight <= page.clientHeight";
        assert_eq!(script(browser, columns_only).await, json!(true), "the window scrolls");
    })
    .await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn settings_suspend_an_inbox_test_a_webhook_and_set_faults() {
    let (receiver, url) = Receiver::start().await;
    let local = with_webhook(url, 1.0).await;
    in_browser(1400, async |browser| {
        browser.goto(&format!("{}/?view=settings", local.url)).await.unwrap();
        click(browser, "[formaction$='/account/test']").await;
        text_with(browser, ".notice", "accepted the test event").await;
        assert_eq!(receiver.got()[0].json["event"], "setup.test");

        click(browser, "[action$='/inb_support/suspend'] button").await;
        text_with(browser, "#left", "Suspended").await;
        assert_eq!(receiver.got_at_least(2).await[1].json["event"], "inbox.suspended");

        browser.execute("document.querySelector('#answer').value = '429'", vec![]).await.unwrap();
        click(browser, "[action='/page/faults'] .primary").await;
        text_with(browser, ".bar", "Faults are set").await;
        let (_, faults) = local.control(Method::GET, "/sandbox/faults", Value::Null).await;
        assert_eq!(faults["requests"]["answer"], "429");
    })
    .await;
    local.stop().await;
}
