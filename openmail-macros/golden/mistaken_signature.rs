#[openmail_handler(event = "message.received")]
async fn support(mail: dyn Mail) {}
