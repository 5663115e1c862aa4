#[openmail_handler(
    event = ["inbox.suspended", "inbox.reactivated"],
    inbox = [SUPPORT, config::sales(), "inb_other"],
)]
async fn lifecycle(news: &Lifecycle) {
    println!("{news:?}");
}
