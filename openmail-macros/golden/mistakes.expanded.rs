::core::compile_error! {
    "unknown event `message.recieved`; did you mean `message.received`?\nknown are `message.received`, `inbox.suspended`, `inbox.reactivated`, `pod.suspended`, `pod.reactivated`, `setup.test`\n`unlisted` allows an event that this version of the crate does not know"
}
::core::compile_error! {
    "a handler is an `async fn`"
}
::core::compile_error! {
    "a handler cannot change the event: take `&T` or `T`"
}
/// Can still be registered.
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct support;
impl support {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
    pub fn call(mail: &mut MessageReceived) {
        answer(mail);
    }
}
impl ::openmail_tower::handler::EventHandler for support {
    const ROUTE: ::openmail_tower::__private::Route = ::openmail_tower::__private::Route {
        name: "support",
        events: &[],
        inboxes: &[],
        location: ::openmail_tower::__private::Location {
            file: ::core::file!(),
            line: ::core::line!(),
        },
    };
}
impl<__State> ::openmail_tower::handler::Handler<__State> for support {
    fn call(
        &self,
        _: ::openmail_tower::VerifiedEvent,
        _: ::openmail_tower::__private::Arc<__State>,
    ) -> ::openmail_tower::OutcomeFuture {
        ::core::unreachable!()
    }
}
