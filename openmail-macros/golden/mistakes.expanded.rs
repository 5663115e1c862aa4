::core::compile_error! {
    "unknown event `message.recieved`; did you mean `message.received`?\nthe known events are `message.received`, `inbox.suspended`, `inbox.reactivated`, `pod.suspended`, `pod.reactivated`, `setup.test`\n`unlisted` allows an event that this version of the crate does not know"
}
::core::compile_error! {
    "a handler must be an `async fn`"
}
::core::compile_error! {
    "a handler cannot change the event: take `&T` or `T`"
}
/// Can still be registered.
#[allow(non_camel_case_types)]
pub struct support;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = support;
    #[automatically_derived]
    impl ::core::clone::Clone for __This {
        fn clone(&self) -> Self {
            *self
        }
    }
    #[automatically_derived]
    impl ::core::marker::Copy for __This {}
    #[automatically_derived]
    impl ::core::fmt::Debug for __This {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.write_str("support")
        }
    }
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
    impl<RouterState> ::openmail_tower::handler::EventHandler<RouterState> for __This
    where
        Self: ::openmail_tower::handler::Handler<RouterState>,
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
    impl<RouterState> ::openmail_tower::handler::Handler<RouterState> for __This
    where
        RouterState: ::core::marker::Send + ::core::marker::Sync + 'static,
    {
        fn call(
            &self,
            _: ::openmail_tower::VerifiedEvent,
            _: ::std::sync::Arc<RouterState>,
        ) -> ::openmail_tower::OutcomeFuture {
            ::core::unreachable!()
        }
    }
};
