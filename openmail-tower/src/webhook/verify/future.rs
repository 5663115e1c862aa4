//! [`ResponseFuture`]: the keys, the body, the verdict and the inner service, in this order. If the
//! body names the inbox, the body comes before the keys.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::sleep;
use tower_service::Service;

use crate::{
    event::weight,
    seam::{BoxError, Timer},
    telemetry::{Delivery, InDelivery},
    webhook::keyring::{Asked, Keyring, Scope, peek_inbox_id},
};

use super::{
    body::{ResponseBody, VerifiedBody},
    budget::Reservation,
    direct::keys_late,
    discard::{DISCARD_LIMIT, Discard, expects_continue, is_worth_reading},
    head::Head,
    layer::Settings,
    receive::{ROOM_TIMEOUT, Receive},
    rejection::{Detailed, Rejection, RejectionKind},
    verdict::{Key, Signer, with_share},
};

pin_project! {
    /// The future of [`Verify`](super::Verify).
    pub struct ResponseFuture<S, K, B>
    where
        S: Service<Request<VerifiedBody>>,
        K: Keyring,
    {
        #[pin]
        state: State<S::Future, K::Future>,
        // The unread rest of the request's body; `None` once it has ended.
        #[pin]
        body: Option<B>,
        // The inner service and the request's head; `None` once the service was called, or if it
        // will not be called.
        waiting: Option<Waiting<S>>,
        settings: Arc<Settings<K>>,
        // Declared last, so that it is dropped last: dropping `state` may still set the delivery's
        // outcome.
        delivery: Delivery,
    }
}

struct Waiting<S> {
    service: S,
    parts: Parts,
    head: Head,
    /// `None` once the body is complete.
    receive: Option<Receive>,
}

pin_project! {
    #[project = StateProj]
    enum State<F, L> {
        // Waits for the secrets. `received` is the body if it had to be received first, since it
        // names the inbox.
        Keys {
            #[pin]
            keys: L,
            timer: Timer,
            asked: Option<Asked>,
            received: Option<(Bytes, Reservation)>,
        },
        // Receives the body, and hashes it as it arrives. `key` is `None` if the body names the
        // inbox.
        Body { key: Option<Key> },
        // The signature was verified: waits for room for the event.
        Room { event: Option<Event>, timer: Timer },
        Inner { #[pin] response: F },
        // Reads the rest of the body before the rejection is sent.
        Discard { discard: Discard, rejection: Option<Rejection> },
        Rejected { rejection: Option<Rejection> },
    }
}

/// An event that takes at most this many bytes, including its body, may wait for room and evict
/// others, however many parts it has: it may be a mail with very many attachments.
const MODEST: usize = 1 << 20;

/// A verified body that has not been parsed yet.
struct Event {
    body: Bytes,
    share: Reservation,
    signer: Signer,
    /// The total number of bytes that the body and its event need.
    total: usize,
    /// Whether the event may wait for room.
    may_wait: bool,
}

impl<S, K, B> ResponseFuture<S, K, B>
where
    S: Service<Request<VerifiedBody>>,
    K: Keyring,
    B: Body,
{
    pub(super) fn new(
        service: S,
        settings: Arc<Settings<K>>,
        delivery: Delivery,
        head: Head,
        parts: Parts,
        body: B,
    ) -> Self {
        let state = match settings.keyring.scope(&parts) {
            Scope::Account => State::keys(&settings.keyring, Asked::Account, None),
            Scope::Inbox(inbox) => State::keys(&settings.keyring, Asked::Head(inbox), None),
            Scope::Body => State::Body { key: None },
        };
        let receive = Some(Receive::new(&settings, head.content_length));
        let waiting = Some(Waiting { service, parts, head, receive });
        Self { state, body: Some(body), waiting, settings, delivery }
    }

    /// Rejects a request because of its head.
    pub(super) fn rejected(
        settings: &Arc<Settings<K>>,
        delivery: Delivery,
        rejection: Rejection,
        parts: &Parts,
        body: B,
    ) -> Self {
        let body = Some(body).filter(|_| !expects_continue(&parts.headers));
        let (state, keep) = reject(rejection, body.as_ref(), settings);
        let body = body.filter(|_| keep);
        Self { state, body, waiting: None, settings: Arc::clone(settings), delivery }
    }
}

impl<F, L> State<F, L> {
    fn keys<K: Keyring<Future = L>>(
        keyring: &K,
        asked: Asked,
        received: Option<(Bytes, Reservation)>,
    ) -> Self {
        let keys = keyring.keys(asked.inbox());
        Self::Keys { keys, timer: Timer::default(), asked: Some(asked), received }
    }
}

impl<S, K, B, ResBody> Future for ResponseFuture<S, K, B>
where
    S: Service<Request<VerifiedBody>, Response = Response<ResBody>>,
    K: Keyring,
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let delivery = &mut this.delivery.enter();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Inner { response } => {
                    let response = ready!(response.poll(cx));
                    if let Ok(response) = &response {
                        delivery.answered(response.status().as_u16());
                    }
                    return Poll::Ready(response.map(|it| it.map(ResponseBody::inner)));
                }
                StateProj::Rejected { rejection } => {
                    let rejection = rejection.take().expect("polled after completion");
                    return Poll::Ready(Ok(answer(rejection, this.settings, delivery)));
                }
                StateProj::Discard { discard, rejection } => {
                    if let Some(body) = this.body.as_mut().as_pin_mut() {
                        ready!(discard.poll(body, cx, this.settings.limits));
                    }
                    this.body.set(None);
                    Ok(State::Rejected { rejection: rejection.take() })
                }
                StateProj::Keys { received: Some((_, share)), .. } if share.is_evicted() => {
                    Err(RejectionKind::Overloaded.into())
                }
                StateProj::Keys { keys, timer, asked, received } => {
                    let keys = match keys.poll(cx) {
                        Poll::Ready(keys) => keys,
                        Poll::Pending => {
                            if let Some((_, share)) = received {
                                share.park(cx);
                            }
                            ready!(timer.poll(cx, || sleep(this.settings.keys_timeout)));
                            Err(keys_late())
                        }
                    };
                    let asked = asked.take().expect("the keys are waited for once");
                    let waiting = this.waiting.as_ref().expect("not called yet");
                    match keys {
                        Err(error) => {
                            if expects_continue(&waiting.parts.headers) {
                                this.body.set(None);
                            }
                            Err(Rejection::because(RejectionKind::Unavailable, error))
                        }
                        Ok(keys) => {
                            let mut key = Key::new(keys, asked, &waiting.head);
                            match received.take() {
                                None => Ok(State::Body { key: Some(key) }),
                                Some((body, share)) => {
                                    key.macs.update(&body);
                                    verify(key, &waiting.head, body, share)
                                }
                            }
                        }
                    }
                }
                StateProj::Body { key } => {
                    let waiting = this.waiting.as_mut().expect("not called yet");
                    let receive = waiting.receive.as_mut().expect("polled after completion");
                    let macs = key.as_mut().map(|key| &mut key.macs);
                    let body = this.body.as_mut().as_pin_mut().expect("it is being received");
                    match ready!(receive.poll(body, cx, macs)) {
                        Err(rejection) => Err(rejection),
                        Ok(()) => {
                            this.body.set(None);
                            let receive = waiting.receive.take().expect("it was there");
                            let (body, share) = receive.finish();
                            match key.take() {
                                Some(key) => verify(key, &waiting.head, body, share),
                                None => {
                                    let asked = Asked::Body(peek_inbox_id(&body));
                                    let keyring = &this.settings.keyring;
                                    Ok(State::keys(keyring, asked, Some((body, share))))
                                }
                            }
                        }
                    }
                }
                StateProj::Room { event: slot, timer } => {
                    let event = slot.as_mut().expect("polled after completion");
                    let room = match event.poll_room(cx) {
                        Poll::Ready(room) => room,
                        Poll::Pending => {
                            ready!(timer.poll(cx, || sleep(ROOM_TIMEOUT)));
                            false
                        }
                    };
                    let event = slot.take().expect("it was there");
                    let waiting = this.waiting.take().expect("not called yet");
                    if room {
                        waiting.call(event, this.settings, delivery)
                    } else {
                        Err(RejectionKind::Overloaded.into())
                    }
                }
            };
            let next = next.unwrap_or_else(|rejection| {
                // Releases the capacity reserved in the inner service.
                this.waiting.take();
                let (state, keep) =
                    reject(rejection, this.body.as_ref().get_ref().as_ref(), this.settings);
                if !keep {
                    this.body.set(None);
                }
                state
            });
            this.state.set(next);
        }
    }
}

/// Returns the next state after a rejection, and whether it needs the rest of the body.
fn reject<F, L, B: Body, K>(
    rejection: Rejection,
    body: Option<&B>,
    settings: &Settings<K>,
) -> (State<F, L>, bool) {
    // The rest of a body that was too slow, or was cut off, is not worth waiting for.
    let cut_off =
        matches!(rejection.kind(), RejectionKind::BodyTimeout | RejectionKind::BodyIncomplete);
    let twice = u64::try_from(settings.body_limit).unwrap_or(u64::MAX).saturating_mul(2);
    let limit = DISCARD_LIMIT.max(twice);
    let keep = !cut_off && body.is_some_and(|body| is_worth_reading(body, limit));
    let rejection = Some(rejection);
    if keep {
        (State::Discard { discard: Discard::new(limit), rejection }, true)
    } else {
        (State::Rejected { rejection }, false)
    }
}

/// Checks the signature of a whole body.
fn verify<F, L>(
    key: Key,
    head: &Head,
    body: Bytes,
    mut share: Reservation,
) -> Result<State<F, L>, Rejection> {
    let signer = key.verify(&head.signature)?;
    share.set_verified();
    // The parsed event needs memory in addition to the body.
    let weight = weight(&body);
    let total = share.bytes().max(body.len()) + weight;
    let may_wait = may_wait(body.len(), weight, total);
    let event = Some(Event { body, share, signer, total, may_wait });
    Ok(State::Room { event, timer: Timer::default() })
}

/// Returns whether an event may wait for room and evict others. The event and its body take `total`
/// bytes, of which `weight` are for the event. A large event of very many small parts may not wait,
/// since anyone who holds the secret of one inbox can sign such an event.
pub(super) fn may_wait(body: usize, weight: usize, total: usize) -> bool {
    weight <= body || total <= MODEST
}

impl Event {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.may_wait {
            return self.share.poll_grow(cx, self.total);
        }
        Poll::Ready(self.share.try_grow(self.total))
    }
}

impl<S> Waiting<S>
where
    S: Service<Request<VerifiedBody>>,
{
    /// Parses the event and, if its signer may sign for it, calls the inner service.
    fn call<K: Keyring, L>(
        mut self,
        event: Event,
        settings: &Settings<K>,
        delivery: &mut InDelivery<'_>,
    ) -> Result<State<S::Future, L>, Rejection> {
        let Event { body, share, signer, .. } = event;
        let body = with_share(body, share);
        let event = signer.read(&body, self.head.timestamp.time(), &settings.keyring)?;
        let trace = delivery.received(&event, self.head.clock_difference());
        let event = event.with_arrival(delivery.arrival()).with_trace_context(trace);
        self.parts.extensions.insert(event);
        let request = Request::from_parts(self.parts, VerifiedBody::new(body));
        Ok(State::Inner { response: self.service.call(request) })
    }
}

fn answer<K, B>(
    rejection: Rejection,
    settings: &Settings<K>,
    delivery: &mut InDelivery<'_>,
) -> Response<ResponseBody<B>> {
    let mut response = (settings.respond)(&rejection).map(ResponseBody::rejection);
    delivery.rejected(rejection.code(), &Detailed(&rejection), response.status().as_u16());
    response.extensions_mut().insert(rejection);
    response
}

impl<S, K, B> fmt::Debug for ResponseFuture<S, K, B>
where
    S: Service<Request<VerifiedBody>>,
    K: Keyring,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
