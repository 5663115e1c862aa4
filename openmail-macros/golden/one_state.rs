#[openmail_handler(event = ["message.sent", "setup.test"], unlisted, state = AppState)]
async fn sent(Payload(sent): Payload<Sent>, log: State<Log>) {}
