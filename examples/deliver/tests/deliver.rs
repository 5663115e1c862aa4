//! The built program against real servers.

mod common;

use std::{collections::BTreeMap, fs, future::ready, path::PathBuf, time::Duration};

use common::{Events, Output, SECRET, app, deduplicating, layer, nowhere, run, run_with, serve};
use openmail_tower::{HandlerError, Outcome, VerifyLayer};
use serde_json::json;

/// A server that keeps the event of every delivery, and fails the first `failures` deliveries.
async fn keeper(failures: usize) -> (String, Events) {
    let events = Events::default();
    let keep = events.clone();
    let app = app(layer(), move |event| {
        ready(match keep.push(event) {
            count if count <= failures => Err(HandlerError::failed("not yet")),
            _ => Ok(Outcome::Done),
        })
    });
    (serve(app).await, events)
}

/// Returns the columns of each row, without its time.
fn rows(output: &Output) -> Vec<Vec<&str>> {
    let rows = output.stdout.lines().skip(1).take_while(|line| !line.is_empty());
    rows.map(|row| row.split_whitespace().skip(1).collect()).collect()
}

#[tokio::test]
async fn delivers_the_requested_mail() {
    let (url, events) = keeper(0).await;
    let output = run([
        "--url",
        &url,
        "--inbox",
        "inb_support",
        "--thread",
        "thr_7",
        "--from",
        "Ada <ada@b.c>",
        "--subject",
        "Help: żółć",
        "--text",
        "line\nline",
    ])
    .await;
    assert!(output.status.success(), "{output:?}");

    let [event] = &events.all()[..] else { panic!("{events:?}") };
    let mail = event.event().message_received().unwrap();
    assert_eq!(
        (mail.inbox_id.as_str(), mail.message.from.as_deref()),
        ("inb_support", Some("Ada <ada@b.c>"))
    );
    assert_eq!(mail.thread_id.as_ref().unwrap(), &"thr_7");
    assert_eq!(mail.message.subject.as_deref(), Some("Help: żółć"));
    assert_eq!(mail.message.body_text.as_deref(), Some("line\nline"));

    let [row] = &rows(&output)[..] else { panic!("{output:?}") };
    assert_eq!(row[..3], [mail.event_id.as_ref().unwrap().as_str(), "1", "200"]);
    assert!(row[3].parse::<f64>().unwrap() > 0.0);
    let [.., counts, times] = &output.stdout.lines().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(*counts, "1 event: 1 accepted, 0 lost; 1 attempt: 1 × 200");
    assert!(times.starts_with("ms to answer: p50 "), "{times}");
}

#[tokio::test]
async fn retries_until_the_event_is_accepted() {
    let (url, events) = keeper(2).await;
    let output =
        run(["--url", &url, "--event", "pod.suspended", "--speed", "1000", "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(events.all().len(), 3);

    let lines = output.json();
    let id = events.all()[0].event_id().unwrap().to_string();
    for (place, (status, error)) in
        [(500, json!("handler_failed")), (500, json!("handler_failed")), (200, json!(null))]
            .into_iter()
            .enumerate()
    {
        let mut line = lines[place].clone();
        assert!(line["ms"].take().as_f64().unwrap() > 0.0);
        assert!(line["time"].take().is_string());
        let next = line["next_ms"].take().as_f64();
        assert_eq!(next, [Some(30.0), Some(60.0), None][place], "a thousand times as fast");
        let expected = json!({
            "time": null, "event": "pod.suspended", "event_id": id, "duplicate": false,
            "attempt": place + 1, "status": status, "error": error, "ms": null, "next_ms": null,
        });
        assert_eq!(line, expected);
    }
    let summary = &lines[3]["summary"];
    assert_eq!(summary["statuses"], json!({"200": 1, "500": 2}));
    assert_eq!(
        (&summary["accepted"], &summary["lost"], &summary["attempts"]),
        (&json!(1), &json!(0), &json!(3))
    );
    assert!(summary["ms"]["p99"].as_f64() <= summary["ms"]["max"].as_f64());
}

#[tokio::test]
async fn exit_status_reports_lost_events() {
    let (url, events) = keeper(usize::MAX).await;
    let output = run(["--url", &url, "--count", "3", "--speed", "100000"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((events.all().len(), rows(&output).len()), (15, 15));
    assert!(
        output.stdout.contains("3 events: 0 accepted, 3 lost; 15 attempts: 15 × 500"),
        "{output:?}"
    );
}

#[tokio::test]
async fn missing_url_is_an_error_of_one_line() {
    for args in [&[][..], &["check"]] {
        let output = run(args.iter().copied()).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(output.stderr, "error: name the endpoint with --url\n", "{args:?}");
    }
}

#[tokio::test]
async fn rows_of_one_event_show_its_whole_delivery_in_order() {
    let (url, events) = keeper(usize::MAX).await;
    let output = run(["--url", &url, "--count", "2", "--speed", "100000"]).await;
    let id = events.all()[0].event_id().unwrap().to_string();
    let found: Vec<_> = output.stdout.lines().filter(|row| row.contains(&id)).collect();
    let numbers: Vec<_> = found.iter().map(|row| row.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5"]);
    assert!(found.is_sorted(), "by their times: {found:?}");
    assert!(found.iter().all(|row| row.starts_with("20") && row[..27].ends_with('Z')), "{found:?}");
    assert!(found[0].contains("handler_failed") && found[0].contains("next in "), "{found:?}");
    assert!(found[4].ends_with("  given up"), "{found:?}");
}

#[tokio::test]
async fn row_says_why_an_attempt_failed() {
    let url = serve(app(VerifyLayer::new(openmail_tower::Secret::new("other").unwrap()), |_| {
        ready(Ok(Outcome::Done))
    }))
    .await;
    let output = run(["--url", &url, "--speed", "100000"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(rows(&output)[0][4], "signature_mismatch");

    let output = run(["--url", &nowhere().await, "--speed", "100000"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(rows(&output)[0][2], "failed");
    assert!(output.stdout.contains("refused"), "{output:?}");
}

#[tokio::test]
async fn sends_duplicates_in_any_order_on_request() {
    // At this speed the last attempt comes after 4.5 s, long after the first has been handled.
    let url = serve(deduplicating(layer(), Duration::from_millis(5))).await;
    let output = run([
        "--url",
        &url,
        "--count",
        "30",
        "--duplicate",
        "1",
        "--shuffle",
        "--speed",
        "100",
        "--rate",
        "2000",
        "--json",
    ])
    .await;
    assert!(output.status.success(), "{output:?}");
    let mut count = BTreeMap::<_, usize>::new();
    for line in output.json().iter().filter(|line| line["status"] == 200) {
        *count.entry(line["event_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!((count.len(), count.values().min()), (30, Some(&2)));
    let summary = output.json().pop().unwrap();
    let summary = ["events", "duplicates", "accepted"].map(|name| &summary["summary"][name]);
    assert_eq!(summary, [&json!(30), &json!(30), &json!(60)]);
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_prints_the_summary() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

    let url = nowhere().await;
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_example-deliver"))
        .args(["--url", &url])
        .env("OPENMAIL_WEBHOOK_SECRET", common::SECRET)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut row = String::new();
    while !row.contains("refused") {
        row.clear();
        assert!(stdout.read_line(&mut row).await.unwrap() > 0);
    }
    assert!(row.ends_with("  next in 30 s\n"), "{row}");
    let pid = child.id().unwrap().to_string();
    let kill = ["-c", "kill -s INT \"$0\"", &pid];
    let kill = tokio::process::Command::new("sh").args(kill).status().await;
    assert!(kill.unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("1 event: 0 accepted, 0 lost, 1 not finished; 1 attempt"), "{rest}");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

#[tokio::test]
async fn sends_a_file_with_only_the_given_fields_changed() {
    let (url, events) = keeper(0).await;
    let path = file(
        "payload.json",
        r#"{"event":"message.received","event_id":"evt_1","inbox_id":"inb_1","new":{"a":[1]},
            "message":{"id":"msg_1","from":"a@b.c","subject":"kept"}}"#,
    );
    let path = path.to_str().unwrap();
    let output = run(["--url", &url, "--file", path, "--count", "3", "--inbox", "inb_2"]).await;
    assert!(output.status.success(), "{output:?}");
    let mut got: Vec<_> = events
        .all()
        .iter()
        .map(|event| {
            let mail = event.event().message_received().unwrap();
            assert_eq!((mail.inbox_id.as_str(), &mail.extra["new"]), ("inb_2", &json!({"a": [1]})));
            assert_eq!((mail.message.subject.as_deref(), mail.attempt), (Some("kept"), None));
            (mail.event_id.as_ref().unwrap().to_string(), mail.message.id.to_string())
        })
        .collect();
    got.sort();
    let expected = [("evt_1", "msg_1"), ("evt_1-2", "msg_1-2"), ("evt_1-3", "msg_1-3")];
    assert_eq!(got, expected.map(|(event, message)| (event.to_owned(), message.to_owned())));
}

#[tokio::test]
async fn wrong_command_is_reported_and_sends_nothing() {
    let (url, events) = keeper(0).await;
    let array = file("array.json", "[]");
    for (arguments, told) in [
        (vec![], "--url"),
        (vec!["--url", "ftp://127.0.0.1/"], "http://"),
        (vec!["--url", "/webhooks"], "http://"),
        (vec!["--url", &url, "--duplicate", "1.5"], "at most 1"),
        (vec!["--url", &url, "--speed", "0"], "at least"),
        (vec!["--url", &url, "--rate", "NaN"], "at most"),
        (vec!["--url", &url, "--rate", "inf"], "at most 1.797"),
        (vec!["--url", &url, "--secret-env", "NOWHERE"], "NOWHERE"),
        (vec!["--url", &url, "--secret", "hunter2 "], "whitespace"),
        (vec!["--url", &url, "--secret", "a", "--secret-env", "B"], "cannot be used with"),
        (vec!["--url", &url, "--file", "/nowhere.json"], "/nowhere.json"),
        (vec!["--url", &url, "--file", array.to_str().unwrap()], "array.json"),
        (vec!["--url", &url, "--event", "inbox.suspended", "--subject", "x"], "--subject"),
    ] {
        let output = run(arguments.iter().copied()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(output.stderr.contains(told), "{arguments:?} {output:?}");
        assert!(!output.stderr.contains("hunter2"), "{output:?}");
    }
    assert!(events.all().is_empty());
}

#[tokio::test]
async fn reads_the_secret_from_the_given_source() {
    let (url, _) = keeper(0).await;
    let other = ("OPENMAIL_WEBHOOK_SECRET", "other");
    for (arguments, variable) in [
        (vec!["--secret", SECRET], other),
        (vec!["--secret-env", "ANOTHER"], ("ANOTHER", SECRET)),
        (vec![], ("OPENMAIL_WEBHOOK_SECRET", SECRET)),
    ] {
        let arguments = ["--url", &url].into_iter().chain(arguments);
        let output = run_with(arguments, variable).await;
        assert!(output.status.success(), "{output:?}");
        assert!(!output.stdout.contains(SECRET));
    }
}
