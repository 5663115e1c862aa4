use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};

struct App;

#[openmail_handler(event = "message.received")]
async fn support(_mail: &MessageReceived, State(_app): State<App>) {}

fn main() {
    let _ = EventRouter::new().handler(support).with_state(App);
}
