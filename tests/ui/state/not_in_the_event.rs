use openmail_tower::{EventRouter, Lifecycle, openmail_handler};

#[openmail_handler(event = "message.received", state = String)]
async fn support(_news: &Lifecycle, _text: u32) {}

fn main() {
    let _ = EventRouter::<String>::new().handler(support);
}
