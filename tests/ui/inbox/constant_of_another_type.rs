use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

const SUPPORT: u32 = 7;

#[openmail_handler(event = "message.received", inbox = SUPPORT)]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
