#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct rest;
impl rest {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
    async fn call(event: &VerifiedEvent, f: State<fn(&str) -> &str>) {}
}
#[automatically_derived]
impl<__State> ::openmail_tower::handler::Handler<__State> for rest
where
    __State: ::core::marker::Send + ::core::marker::Sync + 'static,
    for<'e> &'e VerifiedEvent: ::openmail_tower::FromEvent<
        'e,
        ::openmail_tower::__private::kinds::CheckedEvent,
        __State,
    >,
    for<'e> State<
        fn(&str) -> &str,
    >: ::openmail_tower::FromEvent<
        'e,
        ::openmail_tower::__private::kinds::CheckedEvent,
        __State,
    >,
{
    fn call(
        &self,
        __event: ::openmail_tower::VerifiedEvent,
        __state: ::openmail_tower::__private::Arc<__State>,
    ) -> ::openmail_tower::OutcomeFuture {
        fn __arguments<'e>() {
            ::openmail_tower::__private::argument::<
                ::openmail_tower::__private::kinds::AnyEvent,
                &'e VerifiedEvent,
            >();
            ::openmail_tower::__private::argument::<
                ::openmail_tower::__private::kinds::AnyEvent,
                State<fn(&str) -> &str>,
            >();
        }
        ::openmail_tower::OutcomeFuture::new(async move {
            let __a0 = <&VerifiedEvent as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            let __a1 = <State<
                fn(&str) -> &str,
            > as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            ::openmail_tower::IntoOutcome::into_outcome(rest::call(__a0, __a1).await)
        })
    }
}
