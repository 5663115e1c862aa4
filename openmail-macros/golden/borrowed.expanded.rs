/// Answers what customers ask.
#[allow(clippy::unused_async)]
#[allow(non_camel_case_types)]
pub(crate) struct support;
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
        #[tracing::instrument(name = "support", skip_all)]
        #[allow(clippy::unused_async)]
        pub(crate) async fn call(
            mail: &MessageReceived,
            State(agent): State<Agent>,
            headers: Headers<'_>,
        ) -> Result<(), AgentError> {
            agent.answer(&mail.message).await
        }
    }
    #[automatically_derived]
    impl<RouterState> ::openmail_tower::handler::EventHandler<RouterState> for __This
    where
        Self: ::openmail_tower::handler::Handler<RouterState>,
    {
        const ROUTE: ::openmail_tower::handler::Route = ::openmail_tower::handler::Route {
            name: "support",
            events: &["message.received"],
            inboxes: &["inb_support"],
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
        for<'e> &'e MessageReceived: ::openmail_tower::FromEvent<'e, RouterState>,
        for<'e> State<Agent>: ::openmail_tower::FromEvent<'e, RouterState>,
        for<'e> Headers<'e>: ::openmail_tower::FromEvent<'e, RouterState>,
    {
        fn call(
            &self,
            __openmail_event: ::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<RouterState>,
        ) -> ::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use ::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&::openmail_tower::handler::Argument::<&'e MessageReceived>::new())
                    .of::<::openmail_tower::handler::kinds::MessageReceivedEvent>();
                (&&::openmail_tower::handler::Argument::<State<Agent>>::new())
                    .of::<::openmail_tower::handler::kinds::MessageReceivedEvent>();
                (&&::openmail_tower::handler::Argument::<Headers<'e>>::new())
                    .of::<::openmail_tower::handler::kinds::MessageReceivedEvent>();
            }
            ::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <&MessageReceived as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                let __openmail_argument1 = <State<
                    Agent,
                > as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                let __openmail_argument2 = <Headers<
                    '_,
                > as ::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                ::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(
                            __openmail_argument0,
                            __openmail_argument1,
                            __openmail_argument2,
                        )
                        .await,
                )
            })
        }
    }
};
