use super::*;

const ONE: &str = "inb_one";

mod ids {
    pub(super) const TWO: &str = concat!("inb_", "two");
}

const fn three() -> &'static str {
    "inb_three"
}

#[openmail_handler(event = "message.received", inbox = ONE)]
async fn constant(State(log): State<Log>) {
    log.add("constant");
}

#[openmail_handler(event = "message.received", inbox = [ids::TWO, three(), "inb_four",])]
async fn list(State(log): State<Log>, inbox: InboxId) {
    log.add(format!("list {inbox}"));
}

#[openmail_handler(event = ["message.received", "inbox.suspended"])]
async fn others(State(log): State<Log>, inbox: InboxId) {
    log.add(format!("others {inbox}"));
}

#[tokio::test]
async fn inboxes_can_be_constants_or_lists_of_them() {
    let log = Log::default();
    let router =
        EventRouter::new().handler(constant).handler(list).handler(others).with_state(log.clone());
    for (inbox, line) in [
        ("inb_one", "constant"),
        ("inb_two", "list inb_two"),
        ("inb_three", "list inb_three"),
        ("inb_four", "list inb_four"),
        ("inb_five", "others inb_five"),
    ] {
        run(router.clone(), mail(inbox)).await.unwrap();
        assert_eq!(log.take(), [line]);
    }
    run(router, named("inbox.suspended")).await.unwrap();
    assert_eq!(log.take(), ["others inb_1"]);
}

#[openmail_handler(event = "message.received", inbox = "inb_four")]
async fn twin() {}

#[test]
fn overlapping_handlers_panic_and_name_both() {
    let twins = || EventRouter::<Log>::new().handler(list).handler(twin);
    let panic = std::panic::catch_unwind(twins).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    for part in ["`list` (tests/tests/handlers/routes.rs:", "`twin` (", "`inb_four`"] {
        assert!(text.contains(part), "{text}");
    }
}

#[openmail_handler(event = "message.received", inbox = three())]
async fn binds_an_inbox_at_start_up(State(log): State<Log>, inbox: InboxId) {
    log.add(inbox.as_str());
}

#[tokio::test]
async fn id_given_at_start_up_replaces_that_of_the_attribute() {
    let log = Log::default();
    let id = String::from("inb_at_start_up");
    let router = EventRouter::new().inbox(&id, binds_an_inbox_at_start_up).with_state(log.clone());
    run(router.clone(), mail(&id)).await.unwrap();
    assert_eq!(log.take(), ["inb_at_start_up"]);
    assert_eq!(run(router, mail("inb_three")).await.unwrap(), Outcome::Unrouted);
}
