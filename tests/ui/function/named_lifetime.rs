use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support<'a>(_: &'a MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
