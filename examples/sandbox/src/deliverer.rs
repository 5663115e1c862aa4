//! Delivers planned events to their webhooks, as OpenMail does.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use jiff::{SignedDuration, Timestamp};
use openmail_tower::{
    Secret,
    testing::{self, Emulator, TestEvent},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::state::{Attempt, Data, Progress, State, Target, waits_left};

/// The maximum time that an event waits to be overtaken by the next one.
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Owns the tasks that deliver. Clones share them.
#[derive(Clone)]
pub(crate) struct Deliverer {
    state: State,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    speed: f64,
    /// Releases the event that waits to be overtaken.
    overtaken: Arc<Mutex<Option<oneshot::Sender<()>>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Deliverer {
    pub(crate) fn new(state: State, speed: f64) -> Self {
        let mut roots = RootCertStore::empty();
        // A machine without certificates can still deliver over plain HTTP.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self {
            state,
            client,
            speed,
            overtaken: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts planned deliveries.
    pub(crate) fn start(&self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            let deliverer = self.clone();
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = deliverer.deliver(&id) => {}
                    () = deliverer.cancelled(&id) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }

    /// Sends a `setup.test` in a single attempt. `Err` says why it was not accepted.
    pub(crate) async fn test(&self, target: &Target) -> Result<(), String> {
        let (uri, secret) = parse(target).ok_or("the webhook's URL or secret is not usable")?;
        let event = TestEvent::new("setup.test");
        let emulator = Emulator::new(secret).uri(uri).schedule([Duration::ZERO]);
        let offset = self.state.read(|data| data.faults.clock_offset_seconds);
        let emulator = emulator.clock(move || shifted(offset));
        let report = emulator.deliver(self.client.clone(), [event]).await;
        let attempt = report.attempts().last().ok_or("no attempt was made")?;
        match &attempt.status {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => {
                let code = error_code(&attempt.response_body);
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                Err(format!("the receiver answered {status}{code}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Stops the deliveries in progress and waits for them. With a state file, they continue at the
    /// next start.
    pub(crate) async fn shut_down(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn deliver(&self, id: &str) {
        let plan = self.state.read(|data| {
            let delivery = data.delivery(id).ok()?;
            let waits = waits_left(delivery, Timestamp::now(), self.speed);
            let number = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX) + 1;
            let event = serde_json::to_vec(&delivery.event).ok()?;
            let target = data.target(delivery.inbox_id.as_deref())?;
            let is_first_of_mail = delivery.mail_id.is_some() && number == 1;
            let reorder = is_first_of_mail && data.faults.out_of_order;
            Some((TestEvent::from_slice(&event).ok()?, target, waits, number, reorder))
        });
        let Some((event, target, waits, number, reorder)) = plan else { return self.cancel(id) };
        let Some((uri, secret)) = parse(&target) else { return self.cancel(id) };

        let release = if reorder { self.wait_to_be_overtaken().await } else { None };
        let release = Mutex::new(release);
        let (inbox, lookup, offset, record) = (
            self.state.read(|data| data.delivery(id).ok().and_then(|it| it.inbox_id.clone())),
            self.state.clone(),
            self.state.clone(),
            (self.state.clone(), id.to_owned()),
        );
        let latest = Arc::new(Mutex::new(target));
        let used = Arc::clone(&latest);
        let emulator = Emulator::new(secret.clone())
            // A rotated secret or a corrected URL takes effect at the next attempt.
            .target(move || {
                let target = lookup.read(|data| data.target(inbox.as_deref()));
                let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(target) = target.filter(|target| parse(target).is_some()) {
                    *latest = target;
                }
                parse(&latest).unwrap_or((uri.clone(), secret.clone()))
            })
            .first_attempt(number)
            .schedule(waits)
            .speed(self.speed)
            .clock(move || shifted(offset.read(|data| data.faults.clock_offset_seconds)))
            .on_attempt(move |_, attempt| {
                let (state, id) = &record;
                let url = used.lock().unwrap_or_else(PoisonError::into_inner).url.clone();
                state.change(|data| write_down(data, id, url, attempt));
                let overtaken = release.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(overtaken) = overtaken {
                    let _ = overtaken.send(());
                }
            });
        emulator.deliver(self.client.clone(), [event]).await;
    }

    /// If no other event is waiting, waits until the next event has been attempted, but at most
    /// 5 s. If one is waiting, returns the sender that releases it, for use after this event's
    /// first attempt.
    async fn wait_to_be_overtaken(&self) -> Option<oneshot::Sender<()>> {
        let (sender, overtaken) = oneshot::channel();
        {
            let mut slot = self.overtaken.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.take() {
                Some(waiting) if !waiting.is_closed() => return Some(waiting),
                _ => *slot = Some(sender),
            }
        }
        let _ = timeout(OVERTAKEN_WITHIN, overtaken).await;
        None
    }

    /// Completes once the delivery has been cancelled.
    async fn cancelled(&self, id: &str) {
        let mut versions = self.state.versions();
        loop {
            let gone = self
                .state
                .read(|data| data.delivery(id).is_ok_and(|it| it.progress == Progress::Cancelled));
            if gone {
                return;
            }
            if versions.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    fn cancel(&self, id: &str) {
        self.state.change(|data| data.cancel(id));
    }
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("speed", &self.speed).finish_non_exhaustive()
    }
}

fn parse(target: &Target) -> Option<(Uri, Secret)> {
    Some((target.url.parse().ok()?, Secret::new(&target.secret).ok()?))
}

fn shifted(seconds: i64) -> SystemTime {
    let (now, by) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
    let shifted = if seconds < 0 { now.checked_sub(by) } else { now.checked_add(by) };
    shifted.unwrap_or(now)
}

fn write_down(data: &mut Data, id: &str, url: String, attempt: &testing::DeliveryAttempt) {
    let elapsed = SignedDuration::try_from(attempt.elapsed).unwrap_or(SignedDuration::MAX);
    let now = Timestamp::now();
    let next = attempt.next_in.map(|wait| now.saturating_add(wait).unwrap_or(Timestamp::MAX));
    let row = Attempt {
        number: attempt.number,
        url,
        at: now.saturating_sub(elapsed).unwrap_or(Timestamp::MIN),
        status: attempt.status.as_ref().ok().map(StatusCode::as_u16),
        failure: attempt.status.as_ref().err().map(ToString::to_string),
        elapsed_ms: u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        error: error_code(&attempt.response_body),
        answer: String::from_utf8_lossy(&attempt.response_body).into_owned(),
        headers: headers(&attempt.headers),
        body: String::from_utf8_lossy(&attempt.body).into_owned(),
    };
    data.record(id, row, next);
}

/// Returns the `error` of a JSON response.
fn error_code(response: &[u8]) -> Option<String> {
    let response: Value = serde_json::from_slice(response).ok()?;
    response.get("error")?.as_str().map(str::to_owned)
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
