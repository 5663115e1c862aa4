#[allow(non_camel_case_types)]
struct lifecycle;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = lifecycle;
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
            f.write_str("lifecycle")
        }
    }
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
    impl<RouterState> ::openmail_tower::handler::EventHandler<RouterState> for __This
    where
        Self: ::openmail_tower::handler::Handler<RouterState>,
    {
        const ROUTE: ::openmail_tower::handler::Route = ::openmail_tower::handler::Route {
            name: "lifecycle",
            events: &["inbox.suspended", "inbox.reactivated"],
            inboxes: &[SUPPORT, config::sales(), "inb_other"],
            location: ::openmail_tower::handler::Location {
                file: ::core::file!(),
                line: ::core::line!(),
            },
        };
    }
    #[automatically_derived]
    impl<RouterState> ::openmail_tower::handler::Handler<RouterState> for __This
    where
        RouterState: ::core::marker::Send + ::core::marker::Sync + 'static,
        for<'e> &'e Lifecycle: ::openmail_tower::FromEvent<'e, RouterState>,
    {
        fn call(
            &self,
            __openmail_event: ::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<RouterState>,
        ) -> ::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use ::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&::openmail_tower::handler::Argument::<&'e Lifecycle>::new())
                    .of::<
                        ::openmail_tower::handler::kinds::Either<
                            ::openmail_tower::handler::kinds::InboxSuspendedEvent,
                            ::openmail_tower::handler::kinds::InboxReactivatedEvent,
                        >,
                    >();
            }
            ::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <&Lifecycle as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                ::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(__openmail_argument0).await,
                )
            })
        }
    }
};
