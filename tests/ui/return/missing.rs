use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support() -> Result<(), std::fmt::Error> {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
