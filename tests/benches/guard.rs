//! Measures the time that a guard adds to each mail, with its counts in memory.
//!
//! `cargo bench -p openmail-tests --bench guard`

use std::hint::black_box;

use openmail_tests::{
    event,
    measure::{Comparison, Table, finish, steady_allocator, time},
};
use openmail_tower::{
    EventRouter, MessageReceived, VerifiedEvent,
    layers::guard::{GuardLayer, Rate},
    openmail_handler,
};
use tower::{Layer, Service};

const ROUNDS: usize = 41;
/// The number of inboxes that receive mail in turn.
const INBOXES: usize = 1_000;
/// The number of senders, each of whom writes to every inbox once.
const SENDERS: usize = 20;

#[openmail_handler(event = "message.received")]
async fn handler(mail: &MessageReceived) {
    black_box(mail);
}

/// Returns mails in turn, each with a text of about this many bytes, and parsed just before, as in
/// a webhook or a worker. Like what people write, a text has words of one to three syllables, most
/// of which occur once or twice.
fn mails(bytes: usize) -> impl FnMut() -> VerifiedEvent {
    const SYLLABLES: [&str; 16] = [
        "am", "ber", "bir", "ce", "del", "em", "fjor", "gro", "ha", "ven", "in", "ju", "la", "mo",
        "no", "ta",
    ];
    let mail = |number: usize| {
        let (inbox, sender) = (number % INBOXES, number / INBOXES);
        let mut random = fastrand::Rng::with_seed(number as u64);
        let mut text = String::new();
        for place in 1.. {
            if text.len() >= bytes {
                break;
            }
            for _ in 0..random.usize(1..=3) {
                text.push_str(SYLLABLES[random.usize(..SYLLABLES.len())]);
            }
            text.push_str(if place % 12 == 0 { ".\\n" } else { " " });
        }
        format!(
            r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_{inbox}",
                "thread_id":"thr_{number}","message":{{"id":"msg_{number}",
                "from":"Sender <sender{sender}@example.com>","to":"agent{inbox}@example.org",
                "subject":"A question","body_text":"{text}","category":"personal",
                "verdict":"clean","auto_replyable":true}}}}"#
        )
    };
    let mails: Vec<_> = (0..INBOXES * SENDERS).map(mail).collect();
    let mut turns = (0..mails.len()).cycle();
    move || event(&*mails[turns.next().expect("they begin again")])
}

fn run(guard: Option<GuardLayer>) -> impl FnMut(VerifiedEvent) {
    let router = EventRouter::new().handler(handler);
    let mut guarded = guard.map(|guard| guard.layer(router.clone()));
    let mut router = router;
    move |event| {
        match &mut guarded {
            Some(guarded) => finish(guarded.call(event)),
            None => finish(router.call(event)),
        }
        .expect("it passes");
    }
}

fn main() {
    steady_allocator();
    let no_loops = || GuardLayer::default().repeats(Rate::unlimited());
    let lists = || {
        let senders = (0..100).map(|number| format!("*.blocked{number}.example"));
        GuardLayer::default().block(senders).expect("good patterns")
    };
    let mut table = Table::new(["text", "guard", "median", "guard overhead"]);
    for (bytes, name) in [(200, "200 bytes"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB")] {
        let figures = Comparison::new()
            .side("none", mails(bytes), run(None))
            .side("the defaults", mails(bytes), run(Some(GuardLayer::default())))
            .side("without the rule against loops", mails(bytes), run(Some(no_loops())))
            .side("a list of 100 blocked domains", mails(bytes), run(Some(lists())))
            .run(ROUNDS);
        let none = figures[0].time;
        for figure in figures {
            let own = figure.time.saturating_sub(none);
            table.row([name.into(), figure.name, time(figure.time), time(own)]);
        }
    }
    table.print("guard");
}
