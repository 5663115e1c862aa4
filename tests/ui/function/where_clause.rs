use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(_: &MessageReceived)
where
    String: Send,
{
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
