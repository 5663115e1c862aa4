use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received", crate = "not a path")]
async fn support() {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
