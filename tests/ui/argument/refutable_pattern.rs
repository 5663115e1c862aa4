use openmail_tower::{EventRouter, Payload, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(Payload(Some(text)): Payload<Option<String>>) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
