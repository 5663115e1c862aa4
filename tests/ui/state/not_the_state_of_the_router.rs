use openmail_tower::{EventRouter, handler::State, openmail_handler};

#[openmail_handler(event = "message.received", state = String)]
async fn support(State(_agent): State<String>) {}

fn main() {
    let _ = EventRouter::<u32>::new().handler(support);
}
