//! Handlers without HTTP.

use std::future::ready;

use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    testing::{TestEvent, dispatch},
};
use tower::{limit::ConcurrencyLimit, service_fn};

#[tokio::test]
async fn dispatch_returns_the_handlers_result() {
    let service = service_fn(|event: VerifiedEvent| {
        ready(match event.event().message_received().and_then(|it| it.message.subject.as_deref()) {
            Some("fail") => Err(HandlerError::permanent("no")),
            _ => Ok(Outcome::Duplicate),
        })
    });
    let service = ConcurrencyLimit::new(service, 1);
    let mail = TestEvent::message_received();
    let outcome = dispatch(&service, &mail).await.unwrap();
    assert_eq!(outcome, Outcome::Duplicate);
    let failed = dispatch(&service, mail.subject("fail")).await;
    assert_eq!(failed.unwrap_err().to_string(), "no");
}

#[test]
#[should_panic = "not an event"]
fn verified_panics_for_a_body_that_is_not_an_event() {
    let _ = TestEvent::message_received().without("event").verified();
}
