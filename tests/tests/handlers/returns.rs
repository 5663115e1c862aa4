use super::*;

#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct OwnError;

#[openmail_handler(event = "message.received", inbox = "own")]
async fn own() -> Result<(), OwnError> {
    Err(OwnError)
}

#[openmail_handler(event = "message.received", inbox = "boxed")]
async fn boxed() -> Result<(), BoxError> {
    Err("boxed".into())
}

#[openmail_handler(event = "message.received", inbox = "handler_error")]
async fn handler_error(mail: &MessageReceived) -> Result<Outcome, HandlerError> {
    let number: u32 = mail.inbox_id.as_str().parse()?;
    Err(HandlerError::permanent(number.to_string()))
}

#[openmail_handler(event = "message.received", inbox = "outcome")]
async fn an_outcome() -> Outcome {
    Outcome::Duplicate
}

#[openmail_handler(event = "message.received", inbox = "fine")]
async fn fine() -> Result<Outcome, OwnError> {
    Ok(Outcome::Done)
}

/// The error borrows from the event.
#[openmail_handler(event = "message.received", inbox = "borrowed")]
async fn borrowed(mail: &MessageReceived) -> Result<(), &str> {
    Err(mail.inbox_id.as_str())
}

#[openmail_handler(event = "message.received", inbox = "opaque")]
async fn opaque() -> impl openmail_tower::IntoOutcome {
    Ok::<_, OwnError>(())
}

#[tokio::test]
async fn return_value_becomes_an_outcome_or_an_error() {
    let router = EventRouter::new()
        .handler(own)
        .handler(boxed)
        .handler(handler_error)
        .handler(an_outcome)
        .handler(fine)
        .handler(borrowed)
        .handler(opaque);
    let tell = async |inbox| match run(router.clone(), mail(inbox)).await {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => format!("{:?}: {error}", error.kind()),
    };
    assert_eq!(tell("own").await, "Failed: no answer");
    assert_eq!(tell("boxed").await, "Failed: boxed");
    assert_eq!(tell("handler_error").await, "Failed: invalid digit found in string");
    assert_eq!(tell("outcome").await, "Duplicate");
    assert_eq!(tell("fine").await, "Done");
    assert_eq!(tell("borrowed").await, "Failed: borrowed");
    assert_eq!(tell("opaque").await, "Done");
    assert_eq!(tell("else").await, "Unrouted");
}
