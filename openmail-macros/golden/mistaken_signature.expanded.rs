::core::compile_error! {
    "an argument needs a size: take `&T` or `T`"
}
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct support;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = support;
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
