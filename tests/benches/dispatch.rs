//! Measures how long it takes to find an event's handler and to call it, by the number of inboxes.
//!
//! `cargo bench -p openmail-tests --bench dispatch`

use std::{hint::black_box, process};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use openmail_tests::{
    Discard, event,
    measure::{Comparison, Table, finish, resident, steady_allocator, time},
};
use openmail_tower::{
    EventRouter, MessageReceived, VerifiedEvent, handler::State, openmail_handler,
    webhook::Endpoint,
};
use tower::Service;

const ROUNDS: usize = 41;
const MILLION: usize = 1_000_000;
/// The number of inboxes whose events arrive in turn, if that many are bound. The first is small
/// enough for their entries to stay in the cache, the second is not.
const TRAFFIC: [(usize, &str); 2] = [(1_000, "1,000"), (20_000, "20,000")];

#[openmail_handler(event = "message.received")]
async fn borrowed(mail: &MessageReceived) {
    black_box(mail);
}

#[openmail_handler(event = "message.received")]
async fn with_state(mail: &MessageReceived, State(state): State<u64>) {
    black_box((mail, state));
}

#[openmail_handler(event = "message.received")]
async fn owned(mail: MessageReceived) {
    black_box(mail);
}

fn id(number: usize) -> String {
    // Scattered, as real ids are, not in the order of creation.
    format!("inb_{:016x}", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Returns `busy` events in turn, each of a different inbox, spread evenly over the `inboxes` that
/// are bound. If fewer than `busy` are bound, each has several of the events.
fn events(inboxes: usize, busy: usize) -> impl FnMut() -> VerifiedEvent {
    let stride = (inboxes / busy).max(1);
    let mail = |number: usize| {
        let inbox = id(number * stride % inboxes);
        event(format!(
            r#"{{"event":"message.received","event_id":"evt_1","inbox_id":"{inbox}",
                "message":{{"id":"msg_1","from":"a@example.com","body_text":"Hello"}}}}"#
        ))
    };
    let events: Vec<_> = (0..busy).map(mail).collect();
    let mut turns = (0..busy).cycle();
    move || events[turns.next().expect("they begin again")].clone()
}

/// Creates a router with a handler for each inbox, bound before it serves.
fn at_start(inboxes: usize) -> EventRouter {
    (0..inboxes).fold(EventRouter::new(), |router, number| router.inbox(id(number), borrowed))
}

/// Creates the same router, but binds the inboxes while it serves.
fn live(inboxes: usize) -> EventRouter {
    let router = EventRouter::new();
    let inboxes_of = router.inboxes();
    for number in 0..inboxes {
        inboxes_of.bind(id(number), borrowed).expect("an id of its own");
    }
    router
}

fn run(router: &EventRouter) -> impl FnMut(VerifiedEvent) + use<> {
    let mut router = router.clone();
    move |event| {
        finish(router.call(event)).expect("a handler");
    }
}

fn main() {
    steady_allocator();
    let mut memory = Table::new(["a million inboxes", "memory per inbox"]);
    let mut weigh = |name: &str, make: fn(usize) -> EventRouter| {
        let before = resident(process::id());
        let router = make(MILLION);
        let bytes = resident(process::id()).saturating_sub(before);
        memory.row([name.into(), format!("{} bytes", bytes / MILLION as u64)]);
        router
    };
    let million = [weigh("bound at the start", at_start), weigh("bound while serving", live)];
    let thousand = [at_start(1_000), live(1_000)];
    let one = [at_start(1), live(1)];
    let everyone = EventRouter::new().handler(borrowed);
    let stateful = EventRouter::new().handler(with_state).with_state(7_u64);
    let taking = EventRouter::new().handler(owned);

    for (busy, name) in TRAFFIC {
        let mut comparison = Comparison::new()
            .side("no router: the event dropped", events(1, busy), drop)
            .side("1 inbox", events(1, busy), run(&one[0]));
        for (routers, inboxes, name) in
            [(&thousand, 1_000, "1,000 inboxes"), (&million, MILLION, "1,000,000 inboxes")]
        {
            comparison = comparison.side(name, events(inboxes, busy), run(&routers[0])).side(
                format!("{name}, live"),
                events(inboxes, busy),
                run(&routers[1]),
            );
        }
        let figures = comparison
            .side("1 inbox, live", events(1, busy), run(&one[1]))
            .side("every inbox", events(1, busy), run(&everyone))
            .side("every inbox, with state", events(1, busy), run(&stateful))
            .side("every inbox, payload owned", events(1, busy), run(&taking))
            .run(ROUNDS);

        let none = figures[0].time;
        let one = figures[1].time.saturating_sub(none);
        let mut table = Table::new(["router", "median", "router overhead", "× 1 inbox"]);
        for figure in figures {
            let own = figure.time.saturating_sub(none);
            let ratio = format!("{:.2}", own.as_secs_f64() / one.as_secs_f64());
            table.row([figure.name, time(figure.time), time(own), ratio]);
        }
        table.print(&format!("dispatch, events of {name} inboxes in turn"));
    }
    memory.print("memory");
    subscribers(&everyone);
}

/// Measures, with subscribers that discard everything, an event through the router alone, and a
/// verified request through an [`Endpoint`], which observes the run.
fn subscribers(router: &EventRouter) {
    compare("an event", || events(1, 1_000), || run(router));
    compare("a verified request", requests, || answer(router));
}

/// Compares subscribers. The second side shows the noise.
fn compare<I: 'static, M, R>(name: &str, inputs: impl Fn() -> M, run: impl Fn() -> R)
where
    M: FnMut() -> I + 'static,
    R: FnMut(I) + 'static,
{
    let [at_once, unformatted, formatted] = Discard::all();
    let figures = Comparison::new()
        .side("none", inputs(), run())
        .side("none, again", inputs(), run())
        .side("`info`, discarded", inputs(), run())
        .within(|| at_once.begin())
        .side("`info`, in a registry", inputs(), run())
        .within(|| unformatted.begin())
        .side("`info`, formatted", inputs(), run())
        .within(|| formatted.begin())
        .run(ROUNDS);
    let mut table = Table::new(["subscriber", "median", "× none"]);
    for figure in figures {
        table.row([figure.name, time(figure.time), format!("{:.2}", figure.ratio)]);
    }
    table.print(&format!("subscribers, {name} to a handler of all inboxes"));
}

/// Creates requests as they leave `VerifyLayer`.
fn requests() -> impl FnMut() -> Request<Empty<Bytes>> {
    let mut events = events(1, 1_000);
    move || {
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(events());
        request
    }
}

fn answer(router: &EventRouter) -> impl FnMut(Request<Empty<Bytes>>) + use<> {
    let mut endpoint = Endpoint::new(router.clone());
    move |request| {
        let answer = finish(endpoint.call(request)).expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}
