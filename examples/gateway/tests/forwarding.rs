//! The built gateway between a sender and agents that fail, hang, crash and come back.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use nix::sys::signal::Signal;
use openmail_tower::{
    Secret, Secrets,
    webhook::signature::{DEFAULT_TOLERANCE, verify_at},
};
use support::{Agent, Answer, Gateway, in_time, mail, one};
use tokio::sync::Notify;

#[tokio::test]
async fn agent_gets_the_event_as_it_was_signed() {
    let (mut a, mut b, mut rest) =
        (Agent::start().await, Agent::start().await, Agent::start().await);
    let config = format!(
        "[account]\nsecrets = [\"env:GATEWAY_TEST_ACCOUNT\"]\n\
         [[inbox]]\nid = \"A\"\nurl = \"{}\"\nsign_with = \"whsec_of_the_agent\"\n\
         [[inbox]]\nid = \"B\"\nurl = \"{}\"\nsecrets = [\"file:b.secret\"]\n\
         [fallback]\nurl = \"{}\"\n",
        a.url(),
        b.url(),
        rest.url()
    );
    let mut gateway = Gateway::new(&config);
    gateway.write("b.secret", "whsec_b\n");
    gateway.run().await;

    let body = mail("A", "evt_1").replace(',', " , ");
    gateway.deliver(&body).await;
    gateway.deliver(&body).await;
    let got = a.next().await;
    assert_eq!((got.path.as_str(), got.body.as_str()), ("/mail", body.as_str()));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("x-event-id"), Some("evt_1"));
    assert_eq!(got.header("x-openmail-attempt"), Some("1"));
    let (timestamp, signature) = (got.header("x-timestamp"), got.header("x-signature"));
    let secrets = Secrets::new(Secret::new("whsec_of_the_agent").unwrap());
    let (timestamp, signature) = (timestamp.unwrap(), signature.unwrap());
    let now = SystemTime::now();
    verify_at(&secrets, timestamp, signature, got.body.as_bytes(), now, DEFAULT_TOLERANCE).unwrap();

    assert_eq!(gateway.post("/webhooks/B", "whsec_b", &mail("B", "evt_2")).await, 200);
    let got = b.next().await;
    assert_eq!((got.header("x-event-id"), got.header("x-signature")), (Some("evt_2"), None));

    let line = gateway.logged("forwarded").await;
    assert!(line.contains("event_id=\"evt_1\"") && line.contains("inbox_id=\"A\""), "{line}");

    gateway.deliver(&mail("unknown", "evt_3")).await;
    assert_eq!(rest.next().await.header("x-event-id"), Some("evt_3"));
    let metrics = gateway.text("/metrics").await;
    let queued = r#"openmail_deliveries_total{event="message.received",outcome="queued"} 3"#;
    assert!(metrics.lines().any(|line| line == queued), "{metrics}");
    gateway.stop().await;
    assert!(a.is_idle() && b.is_idle() && rest.is_idle(), "each event once, and to its own agent");
}

#[tokio::test]
async fn failing_agent_is_retried() {
    let mut agent = Agent::start().await;
    let answers = [
        Answer::Status(500, ""),
        Answer::Status(503, "0"),
        Answer::Status(429, "Sun, 06 Nov 1994 08:49:37 GMT"),
        Answer::Status(408, ""),
    ];
    agent.tell(answers);
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    for attempt in ["1", "2", "3", "4", "5"] {
        assert_eq!(agent.next().await.header("x-openmail-attempt"), Some(attempt));
    }
    gateway.stop().await;
    assert!(agent.is_idle());
    assert!(gateway.dead_letters().await.is_empty());
}

#[tokio::test]
async fn busy_agent_is_given_time() {
    let mut agent = Agent::start().await;
    // What the agent's own `Dedupe` answers while the event runs.
    agent.tell([Answer::Status(409, "1"), Answer::Status(409, "1"), Answer::Status(409, "0")]);
    let gateway = Gateway::new("");
    gateway.configure(&format!("max_attempts = 1\n{}", one(&agent, "")));
    let mut gateway = gateway;
    gateway.run().await;
    let begun = Instant::now();
    gateway.deliver(&mail("A", "evt_1")).await;
    for _ in 0..4 {
        assert_eq!(agent.next().await.header("x-openmail-attempt"), Some("1"));
    }
    // The clocks of the gateway's database and of this test differ by milliseconds.
    assert!(begun.elapsed() > Duration::from_millis(2900), "each retry waited for a second");
    gateway.stop().await;
    assert!(agent.is_idle());
    assert!(gateway.dead_letters().await.is_empty());
}

#[tokio::test]
async fn agent_may_ask_for_time() {
    let mut agent = Agent::start().await;
    agent.tell([Answer::Status(503, "3600")]);
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    agent.next().await;
    // The mails have no thread, so the second does not wait for the first.
    gateway.deliver(&mail("A", "evt_2")).await;
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_2"));
    gateway.stop().await;
    assert!(agent.is_idle(), "without `Retry-After`, it would have run again within 2 ms");
}

#[tokio::test]
async fn given_up_event_is_a_dead_letter_that_can_be_retried() {
    let mut agent = Agent::start().await;
    agent.tell([Answer::Status(422, "")]);
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    let body = mail("A", "evt_1");
    gateway.deliver(&body).await;
    gateway.deliver(&mail("unknown", "evt_\u{1b}[2J").replace("Ada", "\u{9b}2J")).await;
    let letters = gateway.dead_letters_are(2).await;
    agent.next().await;
    let of = |inbox: &str| letters.iter().find(|letter| letter[4] == inbox).unwrap();
    let ours = of("A");
    assert_eq!(ours[2..4], ["1", "message.received"]);
    assert!(gateway.dead(&["list"]).await.stderr.is_empty());
    assert_eq!(ours[5], "evt_1");
    assert!(ours[6].contains("422"), "{ours:?}");
    let unknown = of("unknown");
    assert_eq!(unknown[5], r"evt_\u{1b}[2J");
    assert!(unknown[6].contains("no agent"), "{unknown:?}");

    let shown = gateway.dead(&["show", &ours[0]]).await;
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.lines().last(), Some(&*body));
    // A pipe gets the body unchanged.
    let shown = gateway.dead(&["show", &unknown[0]]).await;
    assert!(String::from_utf8(shown.stdout).unwrap().contains("\u{9b}2J"));

    assert!(gateway.dead(&["retry", &ours[0]]).await.status.success());
    let again = agent.next().await;
    assert_eq!((again.body, again.headers["x-openmail-attempt"].as_bytes()), (body, &b"1"[..]));
    assert!(gateway.dead(&["drop", &unknown[0]]).await.status.success());
    gateway.dead_letters_are(0).await;
    let listed = gateway.dead(&["list"]).await;
    assert_eq!(String::from_utf8(listed.stderr).unwrap(), "there are no dead letters\n");
    for args in [["show", "99"], ["retry", "99"], ["drop", "99"]] {
        let output = gateway.dead(&args).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("no dead letter 99"));
    }
    for (args, status, says) in [
        (&["retry", "--inbox", "inb_typo"][..], 1, "there are no dead letters of inbox inb_typo"),
        (&["retry"], 2, "<IDS|--inbox <INBOX>>"),
        (&["retry", "99", "--inbox", "A"], 2, "cannot be used with"),
    ] {
        let output = gateway.dead(args).await;
        assert_eq!((output.status.code(), &*output.stdout), (Some(status), &b""[..]), "{args:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(says), "{error}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn stops_after_the_last_attempt() {
    let mut agent = Agent::start().await;
    agent.tell((0..9).map(|_| Answer::Status(500, "")));
    let gateway = Gateway::new("");
    let config = one(&agent, "");
    gateway.configure(&format!("max_attempts = 3\n{config}"));
    let mut gateway = gateway;
    gateway.run().await;
    gateway.deliver(&mail("A", "evt_1")).await;
    let letters = gateway.dead_letters_are(1).await;
    assert_eq!(letters[0][2], "3");
    for attempt in ["1", "2", "3"] {
        assert_eq!(agent.next().await.header("x-openmail-attempt"), Some(attempt));
    }
    assert!(agent.is_idle());
    assert!(gateway.dead(&["retry", "--inbox", "A"]).await.status.success());
    assert_eq!(agent.next().await.header("x-openmail-attempt"), Some("1"));
    gateway.stop().await;
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let (mut agent, mut elsewhere) = (Agent::start().await, Agent::start().await);
    agent.tell([Answer::Redirect(elsewhere.url())]);
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    agent.next().await;
    assert_eq!(agent.next().await.header("x-openmail-attempt"), Some("2"));
    gateway.stop().await;
    assert!(elsewhere.is_idle());
}

#[tokio::test]
async fn hanging_agent_delays_nobody_else() {
    let (mut hangs, mut works) = (Agent::start().await, Agent::start().await);
    hangs.tell((0..200).map(|_| Answer::Hang));
    let config = one(&hangs, "timeout = \"1h\"\nconcurrency = 2");
    let config = format!("{config}[[inbox]]\nid = \"B\"\nurl = \"{}\"\n", works.url());
    let gateway = Gateway::start(&config).await;
    // More events than the worker has room for.
    for event in 0..100 {
        gateway.deliver(&mail("A", &format!("evt_a{event}"))).await;
    }
    hangs.next().await;
    hangs.next().await;
    for event in 0..20 {
        gateway.deliver(&mail("B", &format!("evt_b{event}"))).await;
    }
    for _ in 0..20 {
        works.next().await;
    }
    assert!(hangs.is_idle(), "no more than two at a time");
}

#[tokio::test]
async fn hanging_fallback_delays_no_configured_inbox() {
    let (mut hangs, mut works) = (Agent::start().await, Agent::start().await);
    let done = Arc::new(Notify::new());
    hangs.tell([Answer::Wait(Arc::clone(&done))]);
    hangs.tell((0..200).map(|_| Answer::Hang));
    let url = hangs.url();
    let fallback = format!("[fallback]\nurl = \"{url}\"\ntimeout = \"1h\"\nconcurrency = 2\n");
    let gateway = Gateway::start(&[one(&works, ""), fallback].concat()).await;
    // More inboxes than the worker has room for.
    for inbox in 0..100 {
        gateway.deliver(&mail(&format!("unknown{inbox}"), &format!("evt_u{inbox}"))).await;
    }
    hangs.next().await;
    hangs.next().await;
    for event in 0..20 {
        gateway.deliver(&mail("A", &format!("evt_a{event}"))).await;
    }
    for _ in 0..20 {
        works.next().await;
    }
    assert!(hangs.is_idle(), "no more than two at a time, over all inboxes");
    // An event that was released takes the slot that becomes free.
    done.notify_one();
    let next = hangs.next().await;
    assert_eq!(next.header("x-openmail-attempt"), Some("1"));
    assert!(gateway.dead_letters().await.is_empty());
}

#[tokio::test]
async fn hanging_agent_is_retried() {
    let mut agent = Agent::start().await;
    agent.tell([Answer::Hang]);
    let mut gateway = Gateway::start(&one(&agent, "timeout = \"100ms\"")).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    agent.next().await;
    assert_eq!(agent.next().await.header("x-openmail-attempt"), Some("2"));
    gateway.stop().await;
}

#[tokio::test]
async fn crashed_agent_gets_its_mail_after_its_restart() {
    let mut agent = Agent::start().await;
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    agent.next().await;
    // The crash must not cut off the agent's response: `evt_1` would be sent again.
    gateway.logged("forwarded").await;
    agent.crash().await;
    gateway.deliver(&mail("A", "evt_2")).await;
    // The gateway is killed too, and everything answered with 200 survives.
    gateway.signal(Signal::SIGKILL);
    gateway.ended().await;
    gateway.run().await;
    agent.come_back().await;
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_2"));
    gateway.stop().await;
}

#[tokio::test]
async fn refused_connection_uses_no_attempt() {
    let mut agent = Agent::start().await;
    agent.crash().await;
    let mut gateway = Gateway::new(&format!("max_attempts = 1\n{}", one(&agent, "")));
    gateway.run().await;
    gateway.deliver(&mail("A", "evt_1")).await;
    // More runs than the gateway's default number of attempts.
    let releases = r#"openmail_releases_total{reason="unavailable"} "#;
    in_time("many runs", async {
        loop {
            let metrics = gateway.text("/metrics").await;
            let count = metrics.lines().find_map(|line| line.strip_prefix(releases));
            if count.is_some_and(|count| count.parse::<u32>().unwrap() > 20) {
                break;
            }
        }
    })
    .await;
    agent.come_back().await;
    assert_eq!(agent.next().await.header("x-openmail-attempt"), Some("1"));
    let log = gateway.logged("the agent could not be reached: ").await;
    assert!(log.contains("refused"), "{log}");
    gateway.stop().await;
    assert!(agent.is_idle() && gateway.dead_letters().await.is_empty());
}

#[tokio::test]
async fn stopping_lets_runs_finish() {
    let mut agent = Agent::start().await;
    let done = Arc::new(Notify::new());
    agent.tell([Answer::Wait(Arc::clone(&done))]);
    let mut gateway = Gateway::start(&one(&agent, "")).await;
    let url = gateway.url("/healthz");
    gateway.deliver(&mail("A", "evt_1")).await;
    agent.next().await;
    gateway.signal(Signal::SIGTERM);
    gateway.logged("stopping").await;
    // A new client, which has no connection from before.
    in_time("it accepts no more", async {
        while support::client().get(&url).send().await.is_ok() {}
    })
    .await;
    done.notify_one();
    let (status, log) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped") && !log.contains("cancelled"), "{log}");
    // The event is done, so the next gateway has nothing to do.
    gateway.run().await;
    gateway.deliver(&mail("A", "evt_2")).await;
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_2"));
    gateway.stop().await;
    assert!(agent.is_idle());
}
