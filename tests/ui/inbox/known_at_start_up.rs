use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received", inbox = &std::env::var("INBOX").unwrap())]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
