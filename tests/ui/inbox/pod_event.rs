use openmail_tower::{Lifecycle, openmail_handler};

#[openmail_handler(event = "pod.suspended", inbox = "inb_support")]
async fn paused(_: &Lifecycle) {}

#[openmail_handler(event = ["inbox.suspended", "pod.suspended"], inbox = "inb_support")]
async fn one_of_two(_: &Lifecycle) {}

fn main() {}
