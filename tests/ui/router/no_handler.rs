use openmail_tower::EventRouter;

async fn support() {}

fn main() {
    let _ = EventRouter::<()>::new().handler(support);
}
