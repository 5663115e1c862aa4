/// Uses the names that the macro's own variables and types might have, and imports nothing under
/// its usual name.
#[allow(non_upper_case_globals)]
mod hostile {
    use openmail_tower::handler::State as Of;
    pub(super) use openmail_tower::openmail_handler as on;

    #[derive(Debug, Clone)]
    pub(super) struct S;
    #[derive(Debug, Clone)]
    pub(super) struct Kind;
    #[derive(Debug, Clone)]
    pub(super) struct Box;

    impl openmail_tower::handler::FromRef<S> for Kind {
        fn from_ref(_: &S) -> Self {
            Self
        }
    }
    impl openmail_tower::handler::FromRef<S> for Box {
        fn from_ref(_: &S) -> Self {
            Self
        }
    }

    const check: &str = "inb_check";
    const name: &str = "inb_name";

    #[on(event = "message.received", inbox = [check, name])]
    pub(super) async fn event(_: Of<S>, _: Of<Kind>, _: Of<Box>) {}

    #[on(event = "message.received")]
    pub(super) async fn state(whole: Of<S>) {
        let Of(S) = whole;
    }

    #[on]
    pub(super) async fn r#type(_: &openmail_tower::VerifiedEvent) {}
}

/// Uses the names of the expansion.
#[allow(non_snake_case)]
mod expanded {
    use openmail_tower::{MessageReceived, handler::State, openmail_handler};

    #[derive(Debug, Clone)]
    pub(super) struct __This;

    #[openmail_handler(event = "message.received")]
    pub(super) async fn RouterState(_: &MessageReceived, State(_): State<__This>) {}
}

/// In its own module, since a handler of this name would clash with variables in the expansions of
/// other handlers.
#[allow(non_snake_case)]
mod alone {
    use openmail_tower::handler::State;

    use super::expanded::__This;

    #[openmail_tower::openmail_handler(event = "inbox.suspended")]
    pub(super) async fn __openmail_event(
        __openmail_argument0: openmail_tower::EventId,
        __openmail_state: State<__This>,
    ) {
        let _ = (__openmail_argument0, __openmail_state);
    }
}

macro_rules! with_body {
    ($name:ident, $body:block) => {
        #[openmail_tower::openmail_handler(event = "message.received", inbox = "inb_body")]
        async fn $name(_: &openmail_tower::MessageReceived) -> Result<(), String> $body
    };
}

with_body!(body_by_macro, { Err(String::from("from the macro")) });

#[tokio::test]
async fn body_can_come_from_a_macro() {
    let router = openmail_tower::EventRouter::new().handler(body_by_macro);
    let error = super::run(router, super::mail("inb_body")).await.unwrap_err();
    assert_eq!(error.to_string(), "from the macro");
}

macro_rules! handlers {
    ($($name:ident: $event:literal of $inbox:expr, $argument:ty;)*) => {$(
        #[openmail_tower::openmail_handler(event = $event, inbox = $inbox)]
        async fn $name(_: $argument) {}
    )*};
}

handlers! {
    by_macro: "message.received" of "inb_macro", &openmail_tower::MessageReceived;
    by_macro_as_well: "inbox.suspended" of concat!("inb", "_macro"), openmail_tower::EventKind;
}

#[tokio::test]
async fn macros_and_functions_can_contain_handlers() {
    #[openmail_tower::openmail_handler(event = "message.received")]
    async fn inner(_: openmail_tower::handler::RawBody) {}

    let router = openmail_tower::EventRouter::new()
        .handler(by_macro)
        .handler(by_macro_as_well)
        .handler(inner);
    for inbox in ["inb_macro", "inb_1"] {
        let outcome = super::run(router.clone(), super::mail(inbox)).await.unwrap();
        assert_eq!(outcome, openmail_tower::Outcome::Done);
    }
}

#[openmail_tower::openmail_handler(event = "pod.suspended", crate = self::elsewhere::tower)]
async fn crate_elsewhere(_: elsewhere::tower::EventId) {}

#[openmail_tower::openmail_handler(event = "pod.reactivated", crate = "self::elsewhere::tower")]
async fn crate_path_can_be_a_string(_: elsewhere::tower::EventId) {}

mod elsewhere {
    pub(super) use openmail_tower as tower;
}

#[tokio::test]
async fn expansion_does_not_clash_with_user_names() {
    let router = openmail_tower::EventRouter::new()
        .handler(hostile::event)
        .handler(hostile::state)
        .handler(crate_elsewhere)
        .handler(crate_path_can_be_a_string)
        .fallback(hostile::r#type)
        .with_state(hostile::S);
    for inbox in ["inb_check", "inb_name", "inb_1"] {
        let outcome = super::run(router.clone(), super::mail(inbox)).await.unwrap();
        assert_eq!(outcome, openmail_tower::Outcome::Done);
    }
}

#[test]
fn handlers_can_have_names_that_the_expansion_uses() {
    let _ = openmail_tower::EventRouter::new()
        .handler(expanded::RouterState)
        .handler(alone::__openmail_event)
        .with_state(expanded::__This);
}
