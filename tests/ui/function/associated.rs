use openmail_tower::{MessageReceived, openmail_handler};

struct Agent;

impl Agent {
    #[openmail_handler(event = "message.received")]
    async fn support(_: &MessageReceived) -> Result<(), Self> {
        Ok(())
    }
}

fn main() {
    let _ = Agent;
}
