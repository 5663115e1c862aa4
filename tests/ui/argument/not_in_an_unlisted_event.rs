use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.sent", unlisted)]
async fn support(_mail: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
