use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};

mod support {}

#[openmail_handler(event = "message.received", inbox = "inb_support")]
async fn support(_mail: &MessageReceived, State(_name): State<String>) {}

fn main() {
    let _ = EventRouter::<String>::new();
}
