use openmail_tower::openmail_handler;

trait Agent {
    #[openmail_handler(event = "message.received")]
    async fn support();
}

fn main() {

}
