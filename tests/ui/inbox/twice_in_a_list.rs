use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

const SUPPORT: &str = "inb_support";

#[openmail_handler(event = "message.received", inbox = [SUPPORT, "inb_sales", SUPPORT])]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
