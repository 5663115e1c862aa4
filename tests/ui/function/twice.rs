use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
#[openmail_handler(event = "inbox.suspended")]
async fn support() {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
