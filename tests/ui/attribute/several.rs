use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(evnt = "message.received", inbox = "inb_support", inbox = "inb_sales", 7)]
async fn support(_: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
