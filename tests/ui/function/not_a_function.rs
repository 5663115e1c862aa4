use openmail_tower::openmail_handler;

#[openmail_handler(event = "message.received")]
struct Support;

fn main() {
    let _ = Support;
}
