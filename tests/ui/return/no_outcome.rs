use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support() -> Option<()> {
    None
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
