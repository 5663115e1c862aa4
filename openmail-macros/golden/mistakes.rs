/// Can still be registered.
#[openmail_handler(event = "message.recieved")]
pub fn support(mail: &mut MessageReceived) {
    answer(mail);
}
