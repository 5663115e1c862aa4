//! Delivers events.

use std::{fs, sync::Arc};

use openmail_tower::{
    EventKind,
    testing::{Emulator, TestEvent},
};

use crate::{args::Deliver, client::client, output::Output};

type Error = Box<dyn std::error::Error>;

/// Delivers what the command line asks for. Returns whether every event was accepted; after Ctrl-C,
/// returns `false`.
pub(crate) async fn deliver(args: &Deliver) -> Result<bool, Error> {
    let secret = args.target.secret()?;
    let template = template(args)?;
    let output = Arc::new(Output::new(args.json, args.count));
    let rows = Arc::clone(&output);

    let mut emulator = Emulator::new(secret)
        .uri(args.target.url()?)
        .speed(args.speed)
        .duplicates(args.duplicate)
        .on_attempt(move |delivery, attempt| rows.attempt(delivery, attempt));
    if let Some(rate) = args.rate {
        emulator = emulator.rate(rate);
    }
    if args.shuffle {
        emulator = emulator.shuffle();
    }

    let events = (0..args.count).map(|place| match &template {
        Template::Named(kind) => fill(TestEvent::new(kind.clone()), args),
        Template::File(event) => fill(numbered(event.clone(), place), args),
    });
    tokio::select! {
        _ = emulator.deliver(client(usize::MAX), events) => Ok(output.summary()),
        ended = tokio::signal::ctrl_c() => {
            ended?;
            output.summary();
            Ok(false)
        }
    }
}

enum Template {
    Named(EventKind),
    File(TestEvent),
}

fn template(args: &Deliver) -> Result<Template, Error> {
    if let Some(path) = &args.file {
        let place = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let json = fs::read(path).map_err(|error| place(&error))?;
        return Ok(Template::File(TestEvent::from_slice(&json).map_err(|error| place(&error))?));
    }
    let kind = EventKind::from(&*args.event);
    let of_a_mail = args.from.is_some() || args.subject.is_some() || args.text.is_some();
    match kind {
        EventKind::MessageReceived | EventKind::Other(_) => {}
        _ if of_a_mail => {
            return Err(format!("--from, --subject and --text are not for {kind}").into());
        }
        _ => {}
    }
    Ok(Template::Named(kind))
}

fn fill(event: TestEvent, args: &Deliver) -> TestEvent {
    let event = set(event, &args.inbox, TestEvent::inbox);
    let event = set(event, &args.thread, TestEvent::thread);
    let event = set(event, &args.from, TestEvent::from);
    let event = set(event, &args.subject, TestEvent::subject);
    set(event, &args.text, TestEvent::text)
}

fn set(
    event: TestEvent,
    value: &Option<String>,
    with: fn(TestEvent, String) -> TestEvent,
) -> TestEvent {
    match value {
        Some(value) => with(event, value.clone()),
        None => event,
    }
}

/// Returns the file's event for place 0, and copies with other ids for the following places: copies
/// with the same ids would be the same event.
fn numbered(event: TestEvent, place: u64) -> TestEvent {
    if place == 0 {
        return event;
    }
    let id = |value: Option<&serde_json::Value>| {
        value.and_then(|id| id.as_str()).map(|id| format!("{id}-{}", place + 1))
    };
    let event_id = id(event.json().get("event_id"));
    let message_id = id(event.json().get("message").and_then(|message| message.get("id")));
    // Parsed again, so that `X-Event-Id` differs as well.
    let event = TestEvent::from_slice(&event.to_bytes()).unwrap_or(event);
    let event = match event_id {
        Some(id) => event.event_id(id),
        None => event,
    };
    match message_id {
        Some(id) => event.message_id(id),
        None => event,
    }
}
