//! Nothing that is shown or sent to anyone contains a secret, or the signature that would have been
//! valid.

use std::{
    error::Error,
    fmt::{Debug, Write as _},
    io,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics_util::debugging::DebuggingRecorder;
use openmail_tests::{
    NOW, SECRET, ScriptedBody, Step, clock, fixture, fixtures, layer, secret, signed,
};
use openmail_tower::{
    Endpoint, EventRouter, HandlerError, InboxId, Outcome, Secret, Secrets, VerifiedEvent,
    VerifyLayer, webhook,
    webhook::{InboxKeyring, Keyring, Rejection, keyring::Keys, signature},
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing_subscriber::{
    Registry,
    fmt::{MakeWriter, format::FmtSpan},
    layer::SubscriberExt as _,
};

/// The secret of an inbox.
const OTHER: &str = "whsec_ZyXwVuTsRqPoNmLkJiHgFeDcBa987654";

/// Everything that was shown, sent or logged.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Told {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Told {
    /// Records the `Debug` output.
    fn show(&self, shown: &impl Debug) {
        let mut told = self.0.lock().unwrap();
        told.extend_from_slice(format!("{shown:?}\n{shown:#?}\n").as_bytes());
    }

    /// Records an error in all its forms, with its sources.
    fn show_error(&self, error: &(dyn Error + 'static)) {
        let mut told = String::new();
        let mut cause = Some(error);
        while let Some(error) = cause {
            writeln!(told, "{error} {error:?} {error:#?}").unwrap();
            cause = error.source();
        }
        self.0.lock().unwrap().extend_from_slice(told.as_bytes());
    }

    async fn show_response<B>(&self, response: Response<B>)
    where
        B: http_body::Body<Data = Bytes> + Debug,
        B::Error: Debug,
    {
        self.show(&response);
        if let Some(rejection) = response.extensions().get::<Rejection>() {
            self.show_error(rejection);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        self.0.lock().unwrap().extend_from_slice(&body);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Returns the forms in which these bytes are most likely to be revealed.
fn forms(bytes: &[u8]) -> Vec<String> {
    let hex = hex::encode(bytes);
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        hex.to_uppercase(),
        numbers.join(", "),
        numbers.join(",\n        "),
        numbers.join(","),
        STANDARD_NO_PAD.encode(bytes),
        format!("{:?}", Bytes::copy_from_slice(bytes)),
    ];
    forms.push(hex);
    forms
}

/// What must not be revealed: the secrets, the keys of the MAC, and the signatures that would have
/// been valid.
fn unspeakable() -> Vec<String> {
    let mut all = vec![SECRET.to_owned(), OTHER.to_owned()];
    for secret in [SECRET, OTHER] {
        all.extend(forms(secret.as_bytes()));
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(secret.as_bytes());
        for pad in [0x36, 0x5c] {
            all.extend(forms(&block.map(|byte| byte ^ pad)));
        }
        let secret = Secret::new(secret).unwrap();
        let bodies = fixtures().into_iter().map(|(_, json)| json);
        for body in bodies.chain([b"".to_vec(), b"{}".to_vec(), b"[".to_vec()]) {
            let signature = signature::sign(&secret, NOW, &body);
            all.extend(forms(&hex::decode(&signature).unwrap()));
        }
    }
    all
}

/// The contents of mails, and their senders and recipients.
fn private() -> Vec<String> {
    let mut all = Vec::new();
    for (_, json) in fixtures() {
        let event: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let message = &event["message"];
        let attachments = message["attachments"].as_array().into_iter().flatten();
        let attached = attachments.flat_map(|it| [&it["filename"], &it["parsedText"], &it["url"]]);
        let copied = message["cc"].as_array().into_iter().flatten();
        let texts = [
            &event["inbox_address"],
            &message["subject"],
            &message["body_text"],
            &message["from"],
            &message["to"],
            &message["cc"],
            &message["rfc_message_id"],
        ];
        let texts =
            texts.into_iter().chain(copied).chain(attached).filter_map(serde_json::Value::as_str);
        all.extend(texts.filter(|text| !text.is_empty()).map(str::to_owned));
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

fn check(told: &Told) {
    let text = told.text();
    assert!(text.len() > 10_000, "{text}");
    for word in unspeakable() {
        assert!(!text.contains(&word), "{word} in\n{text}");
    }
}

fn keyring() -> InboxKeyring {
    let keyring = InboxKeyring::new().with_account(secret()).by_body();
    keyring.set("inb_92ma0001", Secret::new(OTHER).unwrap());
    keyring.rotate("inb_92ma0001", secret(), Duration::from_secs(60));
    keyring.rotate_account(Secret::new(OTHER).unwrap(), Duration::from_secs(60));
    keyring
}

/// Returns requests for each rejection that a request alone can cause, then valid ones: events, and
/// bodies that are not events.
fn requests() -> Vec<Request<ScriptedBody>> {
    let json = fixture("message.received");
    let whole = |json: &[u8]| ScriptedBody::frames(json, 100);
    let forged = || {
        let mut request = signed(&json, whole(&json));
        request.headers_mut().insert("x-signature", "ab".repeat(32).parse().unwrap());
        request
    };
    let mut all = vec![forged()];
    for (name, value) in [
        ("x-timestamp", "1"),
        ("x-timestamp", "1711015500000"),
        ("x-timestamp", "soon"),
        ("x-signature", "sha256=00"),
        ("x-event-id", "another"),
        ("content-length", "99999999"),
    ] {
        let mut changed = forged();
        changed.headers_mut().insert(name, value.parse().unwrap());
        all.push(changed);
        let mut doubled = forged();
        doubled.headers_mut().append(name, value.parse().unwrap());
        all.push(doubled);
        let mut missing = forged();
        missing.headers_mut().remove(name);
        all.push(missing);
    }
    let mut get = forged();
    *get.method_mut() = http::Method::GET;
    all.push(get);
    let too_large = vec![Step::Data(vec![b'x'; 9 << 20].into())];
    for steps in [vec![Step::Fail], too_large, vec![Step::Data(json.clone().into()), Step::Hang]] {
        all.push(forged().map(|_| ScriptedBody::new(steps).0));
    }
    // Valid ones as well: events, and bodies that are not events.
    let fixtures = fixtures().into_iter().map(|(_, json)| json);
    all.extend(fixtures.chain([b"{}".to_vec(), b"[".to_vec()]).map(|it| signed(&it, whole(&it))));
    all
}

#[tokio::test(start_paused = true)]
async fn no_log_span_metric_or_response_reveals_a_secret_or_a_mail() {
    let told = Told::default();
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let lines =
        tracing_subscriber::fmt::layer().with_span_events(FmtSpan::FULL).with_writer(told.clone());
    let subscriber = Registry::default()
        .with(lines)
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
    let _guard = openmail_tests::listen(subscriber);
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let outcomes = service_fn(async |event: VerifiedEvent| match event.kind().as_str() {
        "inbox.suspended" => Err(HandlerError::failed("no")),
        "pod.suspended" => Err(HandlerError::permanent("no")),
        "inbox.reactivated" => panic!("no"),
        "pod.reactivated" => Ok(Outcome::Unrouted),
        _ => Ok(Outcome::Done),
    });
    for request in requests() {
        let answer = webhook(layer(), outcomes).oneshot(request).await.unwrap();
        told.show_response(answer).await;
    }
    let of_inboxes = VerifyLayer::with_keyring(keyring()).clock(clock(0));
    for request in requests() {
        let answer = webhook(of_inboxes.clone(), outcomes).oneshot(request).await.unwrap();
        told.show_response(answer).await;
    }
    // Nothing that was told may mention the mail. This includes rejections, although only the
    // sender of a request gets its rejection.
    told.show(&exporter.get_finished_spans().unwrap());
    told.show(&counted.snapshot().into_vec());
    let text = told.text();
    for word in private() {
        assert!(!text.contains(&word), "{word} in\n{text}");
    }
    for line in ["request rejected", "not handled", "signature_mismatch", "handler_failed"] {
        assert!(text.contains(line), "{line}");
    }
    check(&told);
}

#[tokio::test]
async fn debug_and_errors_never_show_a_secret() {
    let told = Told::default();
    let secrets = Secrets::new(secret()).and(Secret::new(OTHER).unwrap());
    told.show(&secret());
    told.show(&secrets);
    told.show(&Keys::account(secrets.clone()));
    told.show(&Keys::inbox(InboxId::from("inb"), secrets.clone()));
    told.show(&keyring());
    told.show(&keyring().keys(Some("inb_92ma0001".into())).await);
    told.show(&layer());
    told.show(&VerifyLayer::with_keyring(keyring()));
    for text in ["", " ", &format!("{SECRET}\n"), &format!(" {OTHER}")] {
        told.show_error(&Secret::new(text).unwrap_err());
    }
    let json = fixture("message.received");
    let at = UNIX_EPOCH + Duration::from_secs(NOW);
    for (timestamp, signature) in [("1", "ab"), ("x", "ab"), ("1711015500", "ab")] {
        let signature = signature.repeat(32);
        let tolerance = signature::DEFAULT_TOLERANCE;
        let result = signature::verify_at(&secrets, timestamp, signature, &json, at, tolerance);
        told.show_error(&result.unwrap_err());
    }
    let mut service = layer().layer(Endpoint::new(EventRouter::new()));
    told.show(&service);
    for request in requests() {
        let future = Service::call(&mut service, request);
        told.show(&future);
        let response = future.await.unwrap();
        told.show(&response);
    }
    let event = {
        let (inner, seen) = openmail_tests::inner();
        let body = Full::new(Bytes::from(json.clone()));
        layer().layer(inner).oneshot(signed(&json, body)).await.unwrap();
        seen.last().unwrap()
    };
    told.show(&event);
    told.show(&event.into_stored());
    check(&told);
}

/// Checks the search itself.
#[test]
fn detects_a_leaked_secret() {
    let secret = Secret::new(SECRET).unwrap();
    let signature = signature::sign(&secret, NOW, &fixture("setup.test"));
    let bytes = hex::decode(&signature).unwrap();
    for slip in
        [SECRET.to_owned(), format!("{:?}", SECRET.as_bytes()), format!("{bytes:?}"), signature]
    {
        assert!(unspeakable().iter().any(|word| slip.contains(word)), "{slip}");
    }
}
