use openmail_tower::{Lifecycle, openmail_handler};

#[openmail_handler(event = "pod.suspended", inbox = "inb_support")]
async fn paused(_: &Lifecycle) {}

fn main() {}
