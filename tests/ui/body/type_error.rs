use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn support(mail: &MessageReceived) {
    let number: u32 = mail.inbox_id;
}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
