use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler]
async fn rest(_mail: &MessageReceived) {}

fn main() {
    let _ = EventRouter::<()>::new().fallback(rest);
}
