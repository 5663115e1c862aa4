use openmail_tower::{EventRouter, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support() {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
