//! How the gateway handles its configuration, at start-up and while it runs.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use nix::sys::signal::Signal;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use support::{ACCOUNT, Agent, Gateway, in_time, mail};

const OURS: &str = "[account]\nsecrets = [\"whsec_account\"]\n";

#[tokio::test]
async fn wrong_configuration_is_reported_with_its_line() {
    let gateway = Gateway::new("");
    let inbox = |more: &str| format!("[[inbox]]\nid = \"A\"\nurl = \"http://a.test\"\n{more}");
    let cases = [
        ("".into(), None, "no secret is configured"),
        (inbox(""), Some(6), "no secret can verify this inbox's events"),
        ("[account]\nsecrets = []".into(), Some(6), "`secrets` must contain"),
        ("[account]\nsecrets = [\n\"good\",\n\"\"]".into(), Some(8), "empty"),
        ("[account]\nsecrets = [\"padded \"]".into(), Some(6), "whitespace"),
        ("[account]\nsecrets = \"hush\"".into(), Some(6), "expected a sequence"),
        ("[account]\nsecrets = [424242]".into(), Some(6), "integer, expected a string"),
        ("[account]\nsecrets = [\"env:NOT_SET_ANYWHERE\"]".into(), Some(6), "NOT_SET_ANYWHERE"),
        ("[account]\nsecrets = [\"file:no.such\"]".into(), Some(6), "no.such: No such file"),
        (format!("{OURS}{}{}", inbox(""), inbox("")), Some(11), "two inboxes `A`"),
        (format!("{OURS}{}", inbox("timeout = \"0s\"")), Some(10), "longer than 0"),
        (format!("{OURS}{}", inbox("timeout = \"soon\"")), Some(10), "not a duration; write"),
        (format!("{OURS}{}", inbox("timeout = 30")), Some(10), "such as \"30s\""),
        (format!("{OURS}[fallback]\nurl = \"a b\""), Some(8), "`url`: this is not a URL"),
        (
            format!("{OURS}{}", inbox("sign_with = \"env:NOT_SET_ANYWHERE\"")),
            Some(10),
            "`sign_with`: the environment variable NOT_SET_ANYWHERE is not set; set it",
        ),
        (
            format!("{OURS}{}", inbox("sign_with = \" hush\"")),
            Some(10),
            "`sign_with`: the secret has whitespace",
        ),
        (format!("{OURS}{}", inbox("concurrency = 0")), Some(10), "from 1 to 65535"),
        (format!("{OURS}{}", inbox("colour = \"red\"")), Some(10), "unknown field `colour`"),
        (format!("{OURS}[[inbox]]\nid = \"A\""), Some(7), "missing field `url`"),
        (
            format!("{OURS}[[inbox]]\nid = \"\"\nurl = \"http://a\""),
            Some(8),
            "id must not be empty",
        ),
        (format!("{OURS}[fallback]\nurl = \"ftp://a\""), Some(8), "http:// or https://"),
        (format!("{OURS}[fallback]\nurl = \"http://me:pw@a\""), Some(8), "must not contain a user"),
        ("lane = \"thread".into(), Some(5), "invalid"),
        (format!("lane = \"colour\"\n{OURS}"), Some(5), "unknown variant `colour`"),
        (format!("{OURS}{}", inbox("concurrency = 65536")), Some(10), "from 1 to 65535"),
        (format!("max_attempts = \"3\"\n{OURS}"), Some(5), "a whole number from 1 to 4294967295"),
        (format!("max_attempts = 4294967296\n{OURS}"), Some(5), "from 1 to 4294967295"),
        (format!("max_attempts = 0\n{OURS}"), Some(5), "from 1 to 4294967295"),
    ];
    for (config, line, reason) in cases {
        gateway.configure(&config);
        let said = gateway.refused().await;
        let place = match line {
            Some(line) => format!("gateway.toml:{line}: "),
            None => "gateway.toml: ".into(),
        };
        assert!(said.contains(&place) && said.contains(reason), "{config}\n{said}");
        assert!(!said.contains("hush") && !said.contains("424242"), "{said}");
        let is_ours = said.contains("sign_with");
        assert!(!(is_ours && said.contains("OpenMail")), "OpenMail does not know it: {said}");
    }
    for listen in ["3000", ":3000", "localhost", "127.0.0.1:99999"] {
        gateway.write("gateway.toml", &format!("listen = \"{listen}\"\nqueue = \"sqlite://x\"\n"));
        let said = gateway.refused().await;
        assert!(said.contains("gateway.toml:1: `listen`: this is not host:port"), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("listen = \"{address}\"\nqueue = \"sqlite://gateway.db\"\n{OURS}");
    gateway.write("gateway.toml", &config);
    let said = gateway.refused().await;
    assert!(said.contains(&format!("cannot listen on {address}; set `listen` in")), "{said}");
    let config =
        format!("listen = \"127.0.0.1:0\"\nqueue = \"sqlite://missing/gateway.db\"\n{OURS}");
    gateway.write("gateway.toml", &config);
    let queue = gateway.path("missing/gateway.db");
    let said = gateway.refused().await;
    assert!(said.contains(&format!("cannot open the queue {}: ", queue.display())), "{said}");
    gateway.write("gateway.toml", "listen = \"127.0.0.1:0\"\nqueue = \"mysql://x\"\n");
    assert!(gateway.refused().await.contains("gateway.toml:2: "));
}

#[tokio::test]
async fn unreachable_database_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let queue = format!("postgres://user:hunter2@{address}/mail");
    let said = Gateway::with_queue(&queue, OURS).refused().await;
    assert!(said.contains("`queue`") && said.contains(&address.to_string()), "{said}");
    assert_eq!(said.to_lowercase().matches("connection refused").count(), 1, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn health_checks_report_the_process_and_its_queue() {
    let mut gateway = Gateway::start(OURS).await;
    assert_eq!(gateway.get("/healthz").await, 200);
    assert_eq!(gateway.get("/readyz").await, 200);
    assert_eq!(gateway.get("/webhooks").await, 405);

    // Another program has locked the file.
    let options = SqliteConnectOptions::new().filename(gateway.path("gateway.db"));
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    assert_eq!(gateway.get("/readyz").await, 503);
    assert_eq!(gateway.get("/healthz").await, 200);
    assert_eq!(gateway.post("/webhooks", ACCOUNT, &mail("A", "evt_1")).await, 503);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    in_time("it is ready again", async { while gateway.get("/readyz").await != 200 {} }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn sighup_reloads_the_configuration() {
    let (mut a, mut b) = (Agent::start().await, Agent::start().await);
    let inbox = |id: &str, agent: &Agent, more: &str| {
        format!("[[inbox]]\nid = \"{id}\"\nurl = \"{}\"\n{more}\n", agent.url())
    };
    let mut gateway = Gateway::start(&format!("{OURS}{}", inbox("A", &a, ""))).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    a.next().await;

    // Another agent, another inbox with its own secret, and a rotated account secret.
    let rotated = "[account]\nsecrets = [\"whsec_next\", \"whsec_account\"]\n";
    let own = "secrets = [\"whsec_b\"]";
    gateway.configure(&format!("{rotated}{}{}", inbox("A", &b, ""), inbox("B", &b, own)));
    gateway.signal(Signal::SIGHUP);
    gateway.logged("configuration reloaded").await;
    gateway.deliver(&mail("A", "evt_2")).await;
    assert_eq!(b.next().await.header("x-event-id"), Some("evt_2"));
    assert_eq!(gateway.post("/webhooks", "whsec_next", &mail("A", "evt_3")).await, 200);
    assert_eq!(b.next().await.header("x-event-id"), Some("evt_3"));
    assert_eq!(gateway.post("/webhooks/B", "whsec_b", &mail("B", "evt_4")).await, 200);
    assert_eq!(b.next().await.header("x-event-id"), Some("evt_4"));

    // An invalid configuration changes nothing, and the log says why.
    gateway.configure("[account]\nsecrets = [\"hush\"]\nlane = \"thread\"\n");
    gateway.signal(Signal::SIGHUP);
    let log = gateway.logged("configuration not reloaded").await;
    assert!(log.contains("gateway.toml:7: unknown field `lane`"), "{log}");
    assert!(!log.contains("hush") && !log.contains("whsec"), "{log}");
    assert_eq!(gateway.post("/webhooks", "whsec_next", &mail("A", "evt_5")).await, 200);
    assert_eq!(b.next().await.header("x-event-id"), Some("evt_5"));

    // A removed inbox loses its secret and its agent.
    gateway.configure(&format!("[account]\nsecrets = [\"whsec_next\"]\n{}", inbox("A", &b, "")));
    gateway.signal(Signal::SIGHUP);
    gateway.logged("inboxes=1").await;
    assert_eq!(gateway.post("/webhooks/B", "whsec_b", &mail("B", "evt_6")).await, 401);
    assert_eq!(gateway.post("/webhooks", ACCOUNT, &mail("A", "evt_7")).await, 401);
    assert_eq!(gateway.post("/webhooks", "whsec_next", &mail("B", "evt_8")).await, 200);
    assert_eq!(gateway.dead_letters_are(1).await[0][5], "evt_8");

    // The log says so if a change requires a restart.
    gateway.configure("lane = \"none\"\n[account]\nsecrets = [\"whsec_next\"]\n");
    gateway.signal(Signal::SIGHUP);
    gateway.logged("need a restart").await;
    gateway.configure(&format!("{OURS}{}", inbox("A", &b, "timeout = \"1h\"")));
    gateway.signal(Signal::SIGHUP);
    let log = gateway.logged("needs a restart").await;
    assert!(log.contains("timeout=3600s") && log.contains("cancelled_after=35s"), "{log}");
    gateway.configure(&format!("{OURS}{}", inbox("A", &b, "concurrency = 100")));
    gateway.signal(Signal::SIGHUP);
    gateway.logged("concurrency=100 runs=68").await;
    gateway.stop().await;
    assert!(a.is_idle() && b.is_idle());
}

#[tokio::test]
async fn tenant_cannot_forge_mail_of_other_tenants() {
    let mut agent = Agent::start().await;
    let inbox = |id: &str, secrets: &str| {
        format!("[[inbox]]\nid = \"{id}\"\nurl = \"{}\"\nsecrets = [{secrets}]\n", agent.url())
    };
    let tenants = [inbox("A", "\"whsec_a\", \"whsec_a2\""), inbox("B", "\"whsec_b\"")].concat();
    let gateway = Gateway::start(&format!("{OURS}{tenants}")).await;
    for path in ["/webhooks", "/webhooks/A", "/webhooks/B", "/webhooks/%41", "/webhooks/C"] {
        for secret in ["whsec_a", "whsec_a2"] {
            for body in [mail("B", "evt_1"), mail("C", "evt_2")] {
                assert_eq!(gateway.post(path, secret, &body).await, 401, "{path} {secret} {body}");
            }
            // An ambiguous body belongs to no tenant, whichever secret signed it.
            let twice = mail("A", "evt_4")
                .replace("\"inbox_id\":\"A\"", "\"inbox_id\":\"A\",\"inbox_id\":\"B\"");
            let status = gateway.post(path, secret, &twice).await;
            assert!(matches!(status, 401 | 422), "{path} {secret}: {status}");
        }
        // Even if the account's secret leaks, it cannot sign mail for an inbox that has its own
        // secret.
        assert_eq!(gateway.post(path, ACCOUNT, &mail("B", "evt_5")).await, 401, "{path}");
    }
    assert_eq!(gateway.post("/webhooks/A", "whsec_a2", &mail("A", "evt_6")).await, 200);
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_6"));
    assert!(agent.is_idle());
}

#[tokio::test]
async fn event_without_an_inbox_stays_with_the_tenant_that_signed_it() {
    let (mut a, mut b, mut rest) =
        (Agent::start().await, Agent::start().await, Agent::start().await);
    let inbox = |id: &str, agent: &Agent| {
        let (url, secret) = (agent.url(), id.to_lowercase());
        format!("[[inbox]]\nid = \"{id}\"\nurl = \"{url}\"\nsecrets = [\"whsec_{secret}\"]\n")
    };
    let fallback = format!("[fallback]\nurl = \"{}\"\n", rest.url());
    let gateway =
        Gateway::start(&[OURS, &inbox("A", &a), &inbox("B", &b), &fallback].concat()).await;
    for kind in [
        "message.received",
        "inbox.suspended",
        "inbox.reactivated",
        "pod.suspended",
        "pod.reactivated",
        "setup.test",
        "message.bounced",
        "",
    ] {
        let id = format!("evt_{kind}");
        let of = |inbox: &str| mail(inbox, &id).replace("message.received", kind);
        let nameless = of("A").replace("\"inbox_id\"", "\"inbox\"");
        for (path, body) in [
            ("/webhooks", &nameless),
            ("/webhooks/B", &nameless),
            ("/webhooks/C", &nameless),
            ("/webhooks/A", &of("B")),
            ("/webhooks/A", &of("C")),
            ("/webhooks", &of("B")),
        ] {
            assert_eq!(gateway.post(path, "whsec_a", body).await, 401, "{path} {body}");
        }
        // If the account or B signs an event with the same id, it is not a duplicate of A's event.
        for (path, secret, agent) in [
            ("/webhooks/A", "whsec_a", &mut a),
            ("/webhooks", ACCOUNT, &mut rest),
            ("/webhooks/B", "whsec_b", &mut b),
        ] {
            assert_eq!(gateway.post(path, secret, &nameless).await, 200, "{path} {kind}");
            assert_eq!(agent.next().await.header("x-event-id"), Some(&*id), "{path}");
        }
    }
    assert!(a.is_idle() && b.is_idle() && rest.is_idle());
}

#[tokio::test]
async fn adds_thousands_of_inboxes_while_events_arrive() {
    const INBOXES: usize = 10_000;
    let agent = Agent::start().await;
    let inboxes = |count: usize| -> String {
        let url = agent.url();
        (0..count)
            .map(|id| format!("[[inbox]]\nid = \"{id}\"\nurl = \"{url}\"\nsecrets = [\"k{id}\"]\n"))
            .collect()
    };
    let config = inboxes(INBOXES);
    let gateway = Gateway::start(&format!("{OURS}{}", inboxes(1))).await;
    gateway.configure(&format!("{OURS}{config}"));
    gateway.signal(Signal::SIGHUP);
    // Existing inboxes keep working while others are added.
    let mut sent = 0;
    while !gateway.has_logged("inboxes=10000") {
        let body = mail("0", &format!("evt_{sent}"));
        assert_eq!(gateway.post("/webhooks/0", "k0", &body).await, 200);
        sent += 1;
    }
    for id in [1, INBOXES / 2, INBOXES - 1] {
        let (path, secret) = (format!("/webhooks/{id}"), format!("k{id}"));
        let body = mail(&id.to_string(), &format!("evt_last_{id}"));
        assert_eq!(gateway.post(&path, &secret, &body).await, 200);
        sent += 1;
    }
    all_arrive(sent, gateway, agent).await;
}

#[tokio::test]
async fn inbox_that_leaves_the_fallback_loses_no_event() {
    let agent = Agent::start().await;
    let url = agent.url();
    let gateway = Gateway::start(&format!("{OURS}[fallback]\nurl = \"{url}\"\n")).await;
    // The new configuration has no fallback, and binds B after all the others.
    let inbox = |id: &str| format!("[[inbox]]\nid = \"{id}\"\nurl = \"{url}\"\n");
    let others: String = (0..9_999).map(|id| inbox(&id.to_string())).collect();
    gateway.configure(&format!("{OURS}{others}{}", inbox("B")));
    gateway.signal(Signal::SIGHUP);
    let mut sent = 0;
    while !gateway.has_logged("inboxes=10000") {
        gateway.deliver(&mail("B", &format!("evt_{sent}"))).await;
        sent += 1;
    }
    all_arrive(sent, gateway, agent).await;
}

/// Asserts that the agent gets this many events and no more, and that there are no dead letters.
async fn all_arrive(sent: usize, mut gateway: Gateway, mut agent: Agent) {
    for _ in 0..sent {
        agent.next().await;
    }
    gateway.stop().await;
    assert!(agent.is_idle());
    assert!(gateway.dead_letters().await.is_empty());
}
