use openmail_tower::{EventRouter, Payload, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support<T: Send>(_: Payload<T>) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
