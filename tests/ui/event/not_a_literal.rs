use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

const EVENT: &str = "message.received";

#[openmail_handler(event = EVENT)]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
