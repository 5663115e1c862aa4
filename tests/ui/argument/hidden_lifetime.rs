use openmail_tower::{EventRouter, FromEvent, HandlerError, VerifiedEvent, openmail_handler};

struct Raw<'e>(&'e [u8]);

impl<'e, S> FromEvent<'e, S> for Raw<'e> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        Ok(Self(event.raw_body()))
    }
}

#[openmail_handler(event = "message.received")]
async fn support(raw: Raw) {
    let _ = raw.0;
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
