use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
fn support<T>(_: &mut MessageReceived, _: impl Sized, _: T)
where
    T: Send,
{
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
