#[allow(non_camel_case_types)]
struct sent;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = sent;
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
            f.write_str("sent")
        }
    }
    impl __This {
        /// The function itself, for tests.
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::unused_async
        )]
        async fn call(Payload(payload): Payload<Sent>, log: State<Log>) {}
    }
    #[automatically_derived]
    impl<RouterState> ::openmail_tower::handler::EventHandler<RouterState> for __This
    where
        Self: ::openmail_tower::handler::Handler<RouterState>,
    {
        const ROUTE: ::openmail_tower::handler::Route = ::openmail_tower::handler::Route {
            name: "sent",
            events: &["message.sent", "setup.test"],
            inboxes: &[],
            location: ::openmail_tower::handler::Location {
                file: ::core::file!(),
                line: ::core::line!(),
            },
        };
    }
    #[automatically_derived]
    impl ::openmail_tower::handler::Handler<AppState> for __This {
        fn call(
            &self,
            __openmail_event: ::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<AppState>,
        ) -> ::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use ::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&::openmail_tower::handler::Argument::<Payload<Sent>>::new())
                    .of::<
                        ::openmail_tower::handler::kinds::Either<
                            ::openmail_tower::handler::kinds::UnlistedEvent,
                            ::openmail_tower::handler::kinds::SetupTestEvent,
                        >,
                    >();
                (&&::openmail_tower::handler::Argument::<State<Log>>::new())
                    .of::<
                        ::openmail_tower::handler::kinds::Either<
                            ::openmail_tower::handler::kinds::UnlistedEvent,
                            ::openmail_tower::handler::kinds::SetupTestEvent,
                        >,
                    >();
            }
            ::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <Payload<
                    Sent,
                > as ::openmail_tower::FromEvent<
                    '_,
                    AppState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                let __openmail_argument1 = <State<
                    Log,
                > as ::openmail_tower::FromEvent<
                    '_,
                    AppState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                ::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(__openmail_argument0, __openmail_argument1).await,
                )
            })
        }
    }
};
