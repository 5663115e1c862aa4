use super::*;

#[derive(Debug, Clone)]
struct AppState {
    log: Log,
    greeting: &'static str,
}

impl FromRef<AppState> for Log {
    fn from_ref(state: &AppState) -> Self {
        state.log.clone()
    }
}

/// Can be extracted from one state only.
struct Greeting(&'static str);

impl<'e> FromEvent<'e, AppState> for Greeting {
    fn from_event(_: &'e VerifiedEvent, state: &'e AppState) -> Result<Self, HandlerError> {
        Ok(Self(state.greeting))
    }
}

#[openmail_handler(event = "message.received", inbox = "inb_part")]
async fn part(State(log): State<Log>) {
    log.add("part");
}

#[openmail_handler(event = "message.received", inbox = "inb_whole")]
async fn whole(State(AppState { log, greeting }): State<AppState>) {
    log.add(greeting);
}

#[openmail_handler(event = "message.received", state = AppState)]
async fn one_state(mail: &MessageReceived, State(log): State<Log>, Greeting(greeting): Greeting) {
    log.add(format!("{greeting} {}", mail.inbox_id));
}

// The state need not be named, even for an argument that can be extracted from one state only.
#[openmail_handler]
async fn rest(event: EventKind, State(log): State<Log>, _: Greeting) {
    log.add(event.as_str());
}

#[tokio::test]
async fn handlers_take_the_state_or_a_part() {
    let log = Log::default();
    let router = EventRouter::new()
        .handler(part)
        .handler(whole)
        .handler(one_state)
        .fallback(rest)
        .with_state(AppState { log: log.clone(), greeting: "Hello" });
    for event in [mail("inb_part"), mail("inb_whole"), mail("inb_1"), named("message.sent")] {
        assert_eq!(run(router.clone(), event).await.unwrap(), Outcome::Done);
    }
    assert_eq!(log.take(), ["part", "Hello", "Hello inb_1", "message.sent"]);
}
