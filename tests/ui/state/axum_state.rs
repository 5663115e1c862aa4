use axum::extract::State;
use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(_mail: &MessageReceived, State(_app): State<String>) {}

fn main() {
    let _ = EventRouter::new().handler(support).with_state(String::new());
}
