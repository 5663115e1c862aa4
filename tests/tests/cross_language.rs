//! Compares signatures with those of other languages, over many kinds of bodies.
//!
//! Ignored by default, since python3 and node may be missing. Run with
//! `cargo test -p openmail-tests --test cross_language -- --include-ignored`.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use openmail_tests::{NOW, SECRET, inner, layer, secret};
use openmail_tower::{Event, webhook::signature::sign};
use tower::{Layer, ServiceExt};

const COUNT: usize = 1000;
const LARGEST: usize = 1 << 20;

/// Bodies from 0 bytes to somewhat more than 1 MiB: bytes, text of any characters, events with such
/// text.
fn payloads() -> Vec<Bytes> {
    let random = &mut fastrand::Rng::with_seed(20_240_321);
    let mut all = vec![
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"."),
        Bytes::from_static(b"\xff\xfe"),
        Bytes::from_static(b"\r\n{\"event\":\"setup.test\"}\r\n"),
        (0..=255).collect(),
        event(&(0..=0x2fff).filter_map(char::from_u32).collect::<String>()),
        Bytes::from_static(
            br#"{"event":"setup.test","a":"\"\\\/\b\f\n\r\t\u0000\ud83d\udc8c\ud83d"}"#,
        ),
        vec![0; LARGEST].into(),
        event(&"ż".repeat(LARGEST / 2 - 100)),
    ];
    while all.len() < COUNT {
        // Mostly small, sometimes large.
        let size = 2_f64.powf(20.0 * random.f64().powi(2));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^20")]
        let size = size as usize;
        all.push(match random.u8(..3) {
            0 => (0..size).map(|_| random.u8(..)).collect(),
            1 => text(random, size).into(),
            _ => event(&text(random, size)),
        });
    }
    all
}

fn text(random: &mut fastrand::Rng, size: usize) -> String {
    let mut text = String::new();
    while text.len() < size {
        text.push(match random.u8(..4) {
            0 => char::from(random.u8(..32)),
            1 => *random
                .choice(&['"', '\\', '/', '\u{7f}', '\u{2028}', '\u{feff}', '💌'])
                .expect("some"),
            2 => char::from(random.u8(32..127)),
            _ => random.char(..),
        });
    }
    text
}

fn event(text: &str) -> Bytes {
    serde_json::json!({ "event": "setup.test", "text": text }).to_string().into()
}

/// Passes the bodies to the program of the other language, with their signatures if the program is
/// to verify them.
fn peer(
    program: &str,
    script: &str,
    mode: &str,
    frames: &[(Bytes, Option<String>)],
) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
    let mut child = Command::new(program)
        .arg(script)
        .args([mode, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            for (body, signature) in frames {
                let length = u32::try_from(body.len()).expect("a length of 32 bits");
                stdin.write_all(&length.to_be_bytes())?;
                stdin.write_all(&NOW.to_be_bytes())?;
                stdin.write_all(signature.as_deref().unwrap_or_default().as_bytes())?;
                stdin.write_all(body)?;
            }
            Ok::<_, std::io::Error>(())
        });
        child.wait_with_output().expect("an end")
    });
    assert!(output.status.success(), "{program}: {}", output.status);
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn tampered(body: &Bytes) -> Bytes {
    match &body[..] {
        [] => Bytes::from_static(b" "),
        [first, rest @ ..] => [&[first ^ 1], rest].concat().into(),
    }
}

async fn they_sign_and_the_layer_verifies(program: &str, script: &str) {
    let bodies = payloads();
    let frames: Vec<_> = bodies.iter().map(|body| (body.clone(), None)).collect();
    let signatures = peer(program, script, "sign", &frames);
    assert_eq!(signatures.len(), COUNT);
    let (inner, seen) = inner();
    let service = layer().layer(inner);
    let status = async |body: Bytes, signature: &str| {
        let request = Request::post("/webhooks")
            .header("x-timestamp", NOW)
            .header("x-signature", signature)
            .body(Full::new(body))
            .unwrap();
        service.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let mut events = 0;
    for (body, signature) in bodies.into_iter().zip(signatures) {
        if body.len() < 1000 {
            assert_eq!(status(tampered(&body), &signature).await, 401);
        }
        // Only verified bodies are parsed, and may or may not be events.
        let is_event = Event::from_slice(&body).is_ok();
        events += usize::from(is_event);
        assert_eq!(status(body.clone(), &signature).await, if is_event { 200 } else { 422 });
        if is_event {
            assert_eq!(seen.last().unwrap().raw_body(), &body);
        }
    }
    assert_eq!(seen.count(), events);
    assert!(events > COUNT / 4, "{events}");
}

fn we_sign_and_they_verify(program: &str, script: &str) {
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for (place, body) in payloads().into_iter().enumerate() {
        let signature = sign(&secret(), NOW, &body);
        let good = place % 10 != 0;
        frames.push((if good { body } else { tampered(&body) }, Some(signature)));
        expected.push(if good { "yes" } else { "no" });
    }
    assert_eq!(peer(program, script, "verify", &frames), expected);
}

#[tokio::test]
#[ignore = "needs python3"]
async fn layer_verifies_what_python_signs() {
    they_sign_and_the_layer_verifies("python3", "peer.py").await;
}

#[test]
#[ignore = "needs python3"]
fn python_verifies_what_we_sign() {
    we_sign_and_they_verify("python3", "peer.py");
}

#[tokio::test]
#[ignore = "needs node"]
async fn layer_verifies_what_node_signs() {
    they_sign_and_the_layer_verifies("node", "peer.js").await;
}

#[test]
#[ignore = "needs node"]
fn node_verifies_what_we_sign() {
    we_sign_and_they_verify("node", "peer.js");
}
