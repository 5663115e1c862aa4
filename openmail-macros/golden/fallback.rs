#[openmail_handler]
async fn rest(event: &VerifiedEvent, f: State<fn(&str) -> &str>) {}
