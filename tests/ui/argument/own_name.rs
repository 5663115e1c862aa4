use openmail_tower::{EventRouter, MessageReceived, openmail_handler};

#[openmail_handler(event = "message.received")]
async fn mail(mail: &MessageReceived) {
    println!("{}", mail.inbox_id);
}

fn main() {
    let _ = EventRouter::<()>::new().handler(mail);
}
