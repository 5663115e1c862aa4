//! Limits what is allocated for a request, by the guard, and by the in-memory store. In a separate
//! file, since the counting allocator is that of the whole program.

use bytes::Bytes;
use http_body_util::Full;
use openmail_tests::{ScriptedBody, Take, layer, mail, mail_of, measure::finish, signed};
use openmail_tower::{
    BoxError, HandlerError, MessageReceived, Outcome, VerifiedEvent,
    layers::{
        GuardLayer,
        dedupe::{DedupeLayer, MemoryStore},
    },
    testing::TestEvent,
};
use tower::{Layer, Service, service_fn};

/// Returns the number of allocations of this thread while `run` runs, and their bytes.
fn count<T>(run: impl FnOnce() -> T) -> (u64, u64) {
    let counted = allocation_counter::measure(|| drop(run()));
    (counted.count_total, counted.bytes_total)
}

fn request<B>(json: &[u8], body: B) -> (u64, u64)
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let mut service = layer().layer(Take);
    let request = signed(json, body);
    count(|| assert_eq!(finish(service.call(request)).unwrap().status(), 200))
}

#[tokio::test]
async fn request_allocates_little_beyond_its_event() {
    for size in [1 << 10, 8 << 10, 64 << 10] {
        let json = mail_of(size);
        let parse = count(|| serde_json::from_slice::<MessageReceived>(&json).unwrap());

        // Initialises the clock, tracing and the like.
        request(&json, Full::new(Bytes::from(json.clone())));

        // The allocation of the event, the map of extensions, its table, and the event's entry.
        let one_frame = request(&json, Full::new(Bytes::from(json.clone())));
        let (allocations, bytes) = (one_frame.0 - parse.0, one_frame.1 - parse.1);
        println!("{size}: {allocations} allocations, {bytes} bytes in addition to the event's");
        assert!(allocations <= 4, "{size}: {allocations}");
        assert!(bytes <= 900, "{size}: {bytes}, so the body was copied");

        // Many frames are copied into one allocation, which grows by doubling.
        let frames = request(&json, ScriptedBody::frames(&json, 1 << 10));
        let (allocations, bytes) = (frames.0 - one_frame.0, frames.1 - one_frame.1);
        println!("{size}: {allocations} allocations, {bytes} bytes for its frames");
        assert!(allocations <= 7, "{size}: {allocations}");
        assert!(bytes <= 3 * size as u64, "{size}: {bytes}");
    }
}

#[tokio::test]
async fn guard_allocates_little_for_a_mail_that_passes() {
    let handler =
        || service_fn(|_: VerifiedEvent| std::future::ready(Ok::<_, HandlerError>(Outcome::Done)));
    let mail = TestEvent::message_received().from("Ada <ada@example.org>");
    let mail = mail.text("Where is my parcel?\nI ordered it a week ago: number 4711.").verified();
    let (mut guarded, mut bare) = (GuardLayer::default().layer(handler()), handler());
    let mut with_guard = || count(|| finish(guarded.call(mail.clone())).unwrap());
    // Allocates the counts of its inbox and its sender.
    with_guard();
    let with_guard = with_guard();
    let without = count(|| finish(bare.call(mail.clone())).unwrap());

    // The future, the sender's address, and the list of the text's lines.
    let allocations = with_guard.0 - without.0;
    let bytes = with_guard.1 - without.1;
    println!("{allocations} allocations, {bytes} bytes");
    assert!(allocations <= 4, "{allocations}");
}

#[test]
fn memory_store_allocates_at_most_half_a_kib_for_each_event() {
    const EVENTS: i64 = 5_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handler = service_fn(async |_: VerifiedEvent| Ok::<_, HandlerError>(Outcome::Done));
    let mut once = DedupeLayer::new(MemoryStore::new(1_000_000)).layer(handler);
    let mut run = |number: i64| {
        let mail = mail(&format!("evt_{number:032}"));
        let outcome = runtime.block_on(async { once.call(mail).await });
        assert_eq!(outcome.unwrap(), Outcome::Done);
    };
    // Allocates what does not depend on the number of events.
    run(0);
    let kept = allocation_counter::measure(|| (1..=EVENTS).for_each(&mut run));
    let bytes = kept.bytes_current / EVENTS;
    println!("{bytes} bytes");
    assert!(bytes <= 512, "{bytes}");
}
