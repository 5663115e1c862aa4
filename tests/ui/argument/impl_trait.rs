use openmail_tower::{EventRouter, Payload, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(mail: impl AsRef<str>, more: Payload<impl Sized>) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
