//! [`ResponseFuture`]: the keys, the body, the verdict, the inner service; in this order.

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
use tokio::time::{Instant, sleep};
use tower_service::Service;

use crate::{
    event::{EventKind, InboxId, weight},
    seam::{BoxError, Timer, VerifiedEvent},
    telemetry::{Delivery, Fields},
    webhook::{
        keyring::{Holder, Keyring, Keys, Scope, peek_inbox_id},
        signature::Macs,
    },
};

use super::{
    body::{ResponseBody, VerifiedBody},
    budget::Reservation,
    head::Head,
    layer::Settings,
    receive::Receive,
    rejection::{Rejection, RejectionKind},
};

pin_project! {
    /// The future of [`Verify`](super::Verify).
    pub struct ResponseFuture<S, K, B>
    where
        S: Service<Request<VerifiedBody>>,
        K: Keyring,
    {
        #[pin]
        state: State<S::Future, K::Future, B>,
        // What the inner service is called with; none once it was, or when it will not be.
        waiting: Option<Waiting<S>>,
        // The body's and the event's share of the budget, held until the answer.
        reservation: Option<Reservation>,
        settings: Arc<Settings<K>>,
        // Dropped last: what is dropped with the request is part of the delivery.
        delivery: Delivery,
    }
}

struct Waiting<S> {
    service: S,
    parts: Parts,
    head: Head,
    arrival: Instant,
}

pin_project! {
    #[project = StateProj]
    enum State<F, L, B> {
        Rejected { rejection: Option<Rejection> },
        Keys { #[pin] keys: L, timer: Timer, named: Named, then: Option<Then<B>> },
        Body { #[pin] receive: Receive<B>, key: Option<Key> },
        Inner { #[pin] response: F },
    }
}

/// What the keys are waited for with.
enum Then<B> {
    /// To receive the body and hash it on the way.
    Receive(Receive<B>),
    /// To hash it now: it had to be received first, since the inbox is named in it.
    Conclude(Bytes, Reservation),
}

/// The inbox that the keys were asked for: none where it was the account, and none within where the
/// body named none. The event must carry the same.
type Named = Option<Option<InboxId>>;

/// The MACs under way, and for whom their secrets sign.
struct Key {
    macs: Macs,
    holder: Holder,
    named: Named,
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
        let receive = Receive::new(body, &settings, head.content_length);
        let keyring = &settings.keyring;
        let ask = |inbox: Option<InboxId>, named, receive| {
            let then = Some(Then::Receive(receive));
            State::Keys { keys: keyring.keys(inbox), timer: Timer::default(), named, then }
        };
        let state = match keyring.scope(&parts) {
            Scope::Account => ask(None, None, receive),
            Scope::Inbox(id) => ask(Some(id.clone()), Some(Some(id)), receive),
            Scope::Body => State::Body { receive, key: None },
        };
        let waiting = Some(Waiting { service, parts, head, arrival: Instant::now() });
        Self { state, waiting, reservation: None, settings, delivery }
    }

    pub(super) fn rejected(
        settings: &Arc<Settings<K>>,
        delivery: Delivery,
        rejection: Rejection,
    ) -> Self {
        let state = State::Rejected { rejection: Some(rejection) };
        let settings = Arc::clone(settings);
        Self { state, waiting: None, reservation: None, settings, delivery }
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
        let delivery: &Delivery = this.delivery;
        let _entered = delivery.enter();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Inner { response } => {
                    let response = ready!(response.poll(cx));
                    this.reservation.take();
                    if let Ok(response) = &response {
                        delivery.answered(response.status().as_u16());
                    }
                    return Poll::Ready(response.map(|it| it.map(ResponseBody::inner)));
                }
                StateProj::Rejected { rejection } => {
                    let rejection = rejection.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(answer(rejection, this.settings, delivery)));
                }
                StateProj::Keys { keys, timer, named, then } => {
                    let keys = match keys.poll(cx) {
                        Poll::Ready(keys) => keys,
                        Poll::Pending => {
                            ready!(timer.poll(cx, || sleep(this.settings.keys_timeout)));
                            Err(BoxError::from("the secrets were not found in time"))
                        }
                    };
                    let keys =
                        keys.map_err(|error| Rejection::because(RejectionKind::Unavailable, error));
                    let then = then.take().expect("the keys are waited for once");
                    keys.and_then(|keys| {
                        let waiting = this.waiting.as_ref().expect("not called yet");
                        let key = waiting.key(keys, named.take());
                        match then {
                            Then::Receive(receive) => Ok(State::Body { receive, key: Some(key) }),
                            Then::Conclude(body, reservation) => {
                                let share = this.reservation.insert(reservation);
                                conclude(
                                    this.waiting,
                                    this.settings,
                                    delivery,
                                    share,
                                    body,
                                    key,
                                    false,
                                )
                            }
                        }
                    })
                }
                StateProj::Body { receive, key } => {
                    let macs = key.as_mut().map(|key| &mut key.macs);
                    let received = ready!(receive.poll(cx, macs));
                    received.and_then(|(body, reservation)| match key.take() {
                        Some(key) => {
                            let share = this.reservation.insert(reservation);
                            conclude(this.waiting, this.settings, delivery, share, body, key, true)
                        }
                        None => {
                            let inbox = peek_inbox_id(&body);
                            let keys = this.settings.keyring.keys(inbox.clone());
                            let then = Some(Then::Conclude(body, reservation));
                            let timer = Timer::default();
                            Ok(State::Keys { keys, timer, named: Some(inbox), then })
                        }
                    })
                }
            };
            this.state.set(next.unwrap_or_else(|rejection| {
                this.waiting.take();
                State::Rejected { rejection: Some(rejection) }
            }));
        }
    }
}

impl<S> Waiting<S> {
    fn key(&self, keys: Keys, named: Named) -> Key {
        let Keys { secrets, holder } = keys;
        Key { macs: Macs::new(&secrets, self.head.timestamp_text.as_bytes()), holder, named }
    }
}

/// The verdict on a whole body; where it is good, the inner service is called.
fn conclude<S, K: Keyring, B>(
    waiting: &mut Option<Waiting<S>>,
    settings: &Settings<K>,
    delivery: &Delivery,
    share: &mut Reservation,
    body: Bytes,
    Key { mut macs, holder, named }: Key,
    hashed: bool,
) -> Result<State<S::Future, K::Future, B>, Rejection>
where
    S: Service<Request<VerifiedBody>>,
{
    let Waiting { mut service, mut parts, head, arrival } = waiting.take().expect("not called yet");
    if !hashed {
        macs.update(&body);
    }
    let matches = macs.verify(&head.signature);
    if !matches || holder == Holder::Nobody {
        return Err(RejectionKind::SignatureMismatch.into());
    }
    // The event has texts of its own, beside the body's, and what holds them.
    if !share.grow_by(weight(&body)) {
        return Err(RejectionKind::Overloaded.into());
    }
    let event = VerifiedEvent::parse(body.clone(), head.timestamp.time());
    let carried = match &event {
        Ok(event) => event.inbox_id().cloned(),
        Err(_) => peek_inbox_id(&body),
    };
    // "Test webhook" asks whether the URL's secret is right, and may name no inbox.
    let is_test = event.as_ref().is_ok_and(|event| event.kind() == EventKind::SetupTest);
    if !(is_test && carried.is_none()) {
        let as_named = named.is_none_or(|named| named == carried);
        if !as_named || !holder.signs_for(carried.as_ref(), &settings.keyring) {
            return Err(RejectionKind::InboxMismatch.into());
        }
    }
    let event = event.map_err(|error| Rejection::because(RejectionKind::InvalidPayload, error))?;
    let trace = delivery.received(Fields::from(&event), body.len(), head.clock_difference());
    parts.extensions.insert(event.with_arrival(arrival).with_trace_context(trace));
    if let Some(answer) = delivery.answer() {
        parts.extensions.insert(answer);
    }
    let response = service.call(Request::from_parts(parts, VerifiedBody::new(body)));
    Ok(State::Inner { response })
}

fn answer<K, B>(
    rejection: Rejection,
    settings: &Settings<K>,
    delivery: &Delivery,
) -> Response<ResponseBody<B>> {
    let mut response = (settings.respond)(&rejection).map(ResponseBody::rejection);
    delivery.refused(rejection.code(), &rejection, response.status().as_u16());
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
