use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support() -> Result<(), Vec<u8>> {
    Ok(())
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
