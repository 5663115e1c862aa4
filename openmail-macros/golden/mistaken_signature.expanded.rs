::core::compile_error! {
    "an argument must be `Sized`: take `&T` or `T`"
}
#[allow(non_camel_case_types)]
struct support;
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
