#[openmail_handler(event = ["message.sent", "setup.test"], unlisted, state = AppState)]
async fn sent(Payload(payload): Payload<Sent>, log: State<Log>) {}
