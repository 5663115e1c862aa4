use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler]
async fn rest() {}

fn main() {
    let _ = EventRouter::<()>::new().handler(rest);
}
