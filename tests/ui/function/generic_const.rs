use openmail_tower::{EventRouter, Payload, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support<const N: usize>(_: Payload<[u8; N]>) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
