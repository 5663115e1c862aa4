use openmail_tower::{EventRouter, InboxId, Lifecycle, openmail_handler};

#[openmail_handler(event = ["inbox.suspended", "inbox.reactivated", "pod.suspended"])]
async fn support(_news: &Lifecycle, _inbox: InboxId) {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
