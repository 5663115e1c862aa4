use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(mail: dyn Send, more: [u8]) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
