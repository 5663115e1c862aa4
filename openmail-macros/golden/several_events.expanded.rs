::core::compile_error! {
    "an inbox in the attribute is a constant; bind one that is known only at start-up by `EventRouter::inbox(id, handler)`, and make a constant of what a `const fn` returns"
}
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct lifecycle;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = lifecycle;
    impl __This {
        /// The function itself, for tests.
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::unused_async
        )]
        async fn call(news: &Lifecycle) {
            println!("{news:?}");
        }
    }
    #[automatically_derived]
    impl<__State> ::openmail_tower::handler::EventHandler<__State> for __This
    where
        Self: ::openmail_tower::handler::Handler<__State>,
    {
        const ROUTE: ::openmail_tower::handler::Route = ::openmail_tower::handler::Route {
            name: "lifecycle",
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
