use openmail_tower::{EventRouter, handler::State, openmail_handler};

#[derive(Clone)]
struct Agent;

#[openmail_handler(event = "message.received", state = String)]
async fn support(State(_agent): State<Agent>) {}

fn main() {
    let _ = EventRouter::<String>::new().handler(support);
}
