use openmail_tower::{EventRouter, handler::State, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(_mail: &MessageRecieved, State(_agent): State<Agent>) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
