use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(_mail: &MessageReceived, _text: String) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
