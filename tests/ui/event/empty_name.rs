use openmail_tower::{Event, openmail_handler};

#[openmail_handler(event = "", unlisted)]
async fn anything(_: &Event) {}

#[openmail_handler(event = ["message.received", ""])]
async fn mail(_: &Event) {}

fn main() {}
