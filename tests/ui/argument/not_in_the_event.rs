use openmail_tower::{EventRouter, Lifecycle, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(_mail: &MessageReceived, _news: &Lifecycle) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
