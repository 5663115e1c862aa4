//! Delivers events, and retries those that are not accepted.

use std::{future::poll_fn, iter, mem, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Interval, interval, sleep, timeout_at},
};
use tower_service::Service;

use crate::seam::BoxError;

use super::{
    emulator::Emulator,
    event::TestEvent,
    order::{Order, Planned},
    report::{AttemptError, Delivery, DeliveryAttempt, Report},
};

/// Maximum number of bytes that are kept of a response body.
const ANSWER_LIMIT: usize = 4096;
/// The time limit in place of one that is too long for an [`Instant`].
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Emulator {
    /// Delivers the events, and returns once each is accepted or its last attempt has failed.
    /// Dropping the future ends everything that is still running.
    pub async fn deliver<S, R>(
        &self,
        service: S,
        events: impl IntoIterator<Item = TestEvent>,
    ) -> Report
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError>,
        R: Body,
    {
        // An `Arc` and not a reference, since with a reference rustc does not see that the future
        // is `Send`.
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let order =
            Order::new(events.into_iter(), self.duplicates, self.shuffle, self.random.clone());
        // If the rate is so high that its period rounds to zero, there is no limit.
        let period = self.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let pace = period.filter(|period| !period.is_zero()).map(interval);
        let start = (order, pace, Arc::clone(&slots));
        let started = stream::unfold(start, |(mut order, mut pace, slots)| async move {
            tick(pace.as_mut()).await;
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some(((order.next()?, slot), (order, pace, slots)))
        });
        let runs = started.enumerate().map(|(place, (planned, slot))| {
            let run = self.run(service.clone(), planned, Arc::clone(&slots), slot);
            async move { (place, run.await) }
        });
        let mut ended: Vec<_> = runs.buffer_unordered(usize::MAX).collect().await;
        ended.sort_unstable_by_key(|(place, _)| *place);
        Report { deliveries: ended.into_iter().map(|(_, delivery)| delivery).collect() }
    }

    /// Returns a wait of the schedule, divided by the speed.
    fn scaled(&self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    /// Attempts to deliver one event until it is accepted or the schedule ends. It occupies no slot
    /// while it waits.
    async fn run<S, R>(
        &self,
        mut service: S,
        planned: Planned,
        slots: Arc<Semaphore>,
        first: OwnedSemaphorePermit,
    ) -> Delivery
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError>,
        R: Body,
    {
        let Planned { mut event, duplicate } = planned;
        let text = |name| event.json().get(name).and_then(Value::as_str).map(str::to_owned);
        let mut delivery = Delivery {
            event: text("event").unwrap_or_default(),
            event_id: text("event_id"),
            duplicate,
            attempts: Vec::new(),
        };
        let mut slot = Some(first);
        let next = |number: &u32| Some(number.saturating_add(1));
        let numbers = iter::successors(Some(self.first_attempt), next);
        let mut waits = iter::zip(numbers, self.schedule.iter()).peekable();
        while let Some((number, wait)) = waits.next() {
            let wait = self.scaled(*wait);
            if !wait.is_zero() {
                slot = None;
                sleep(wait).await;
            }
            let _held = match slot.take() {
                Some(held) => held,
                None => {
                    let slot = Arc::clone(&slots).acquire_owned().await;
                    slot.expect("the semaphore is never closed")
                }
            };
            let mut attempt = self.attempt(&mut service, &mut event, number).await;
            if !attempt.is_accepted() {
                attempt.next_in = waits.peek().map(|(_, wait)| self.scaled(**wait));
            }
            delivery.attempts.push(attempt.clone());
            (self.observe)(&delivery, &attempt);
            if attempt.is_accepted() {
                break;
            }
        }
        delivery
    }

    async fn attempt<S, R>(
        &self,
        service: &mut S,
        event: &mut TestEvent,
        number: u32,
    ) -> DeliveryAttempt
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError>,
        R: Body,
    {
        let now = (self.clock)();
        event.stamp(number, now);
        let target = self.target.as_ref().map(|target| target());
        let (uri, secret) = target.unwrap_or_else(|| (self.uri.clone(), self.secret.clone()));
        let request: Request<Bytes> = event.sign_at(&secret, now);
        let (headers, body) = (request.headers().clone(), request.body().clone());
        let mut request = request.map(Full::new);
        *request.uri_mut() = uri;
        let started = Instant::now();
        let limit = started.checked_add(self.timeout).unwrap_or_else(|| started + A_YEAR);
        let response = timeout_at(limit, async {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            // The service that was polled ready must be the one that is called; the clone is for
            // the next attempt.
            let next = service.clone();
            mem::replace(service, next).call(request).await
        });
        let response = match response.await {
            Ok(response) => response.map_err(AttemptError::failed),
            Err(_) => Err(AttemptError::timeout()),
        };
        let elapsed = started.elapsed();
        let (status, response_body) = match response {
            Ok(response) => (Ok(response.status()), read(response, limit).await),
            Err(error) => (Err(error), Bytes::new()),
        };
        DeliveryAttempt {
            number,
            sent_at: now,
            headers,
            body,
            status,
            elapsed,
            response_body,
            next_in: None,
        }
    }
}

async fn tick(pace: Option<&mut Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

/// Reads the beginning of a response body. It does not matter if the body breaks off or never ends:
/// only the status counts.
async fn read<R: Body>(response: Response<R>, limit: Instant) -> Bytes {
    let mut read = BytesMut::new();
    let mut body = std::pin::pin!(response.into_body());
    while read.len() < ANSWER_LIMIT {
        let Ok(Some(Ok(frame))) = timeout_at(limit, body.frame()).await else { break };
        let Ok(data) = frame.into_data() else { continue };
        let room = (ANSWER_LIMIT - read.len()).min(data.remaining());
        read.extend_from_slice(&data.take(room).copy_to_bytes(room));
    }
    read.freeze()
}
