#[allow(non_camel_case_types)]
struct rest;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = rest;
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
            f.write_str("rest")
        }
    }
    impl __This {
        /// The function itself, for tests.
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::unused_async
        )]
        async fn call(event: &VerifiedEvent, f: State<fn(&str) -> &str>) {}
    }
    #[automatically_derived]
    impl<RouterState> ::openmail_tower::handler::Handler<RouterState> for __This
    where
        RouterState: ::core::marker::Send + ::core::marker::Sync + 'static,
        for<'e> &'e VerifiedEvent: ::openmail_tower::FromEvent<'e, RouterState>,
        for<'e> State<fn(&str) -> &str>: ::openmail_tower::FromEvent<'e, RouterState>,
    {
        fn call(
            &self,
            __openmail_event: ::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<RouterState>,
        ) -> ::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use ::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&::openmail_tower::handler::Argument::<&'e VerifiedEvent>::new())
                    .of::<::openmail_tower::handler::kinds::AnyEvent>();
                (&&::openmail_tower::handler::Argument::<State<fn(&str) -> &str>>::new())
                    .of::<::openmail_tower::handler::kinds::AnyEvent>();
            }
            ::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <&VerifiedEvent as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                let __openmail_argument1 = <State<
                    fn(&str) -> &str,
                > as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                ::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(__openmail_argument0, __openmail_argument1).await,
                )
            })
        }
    }
};
