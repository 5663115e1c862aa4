use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

fn support_id() -> &'static str {
    "inb_support"
}

#[openmail_handler(event = "message.received", inbox = support_id())]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
