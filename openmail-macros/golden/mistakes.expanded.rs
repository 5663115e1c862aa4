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
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = support;
    impl __This {
        /// The function itself, for tests.
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::unused_async
        )]
        pub fn call(mail: &mut MessageReceived) {
            answer(mail);
        }
    }
    #[automatically_derived]
    impl<__State> ::openmail_tower::handler::EventHandler<__State> for __This
    where
        Self: ::openmail_tower::handler::Handler<__State>,
    {
        const ROUTE: ::openmail_tower::handler::Route = ::openmail_tower::handler::Route {
            name: "support",
            events: &[],
            inboxes: &[],
            location: ::openmail_tower::handler::Location {
                file: ::core::file!(),
                line: ::core::line!(),
            },
        };
    }
    impl<__State> ::openmail_tower::handler::Handler<__State> for __This
    where
        __State: ::core::marker::Send + ::core::marker::Sync + 'static,
    {
        fn call(
            &self,
            _: ::openmail_tower::VerifiedEvent,
            _: ::std::sync::Arc<__State>,
        ) -> ::openmail_tower::OutcomeFuture {
            ::core::unreachable!()
        }
    }
};
