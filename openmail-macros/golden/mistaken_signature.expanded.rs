::core::compile_error! {
    "an argument needs a size: take `&T` or `T`"
}
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct support;
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
