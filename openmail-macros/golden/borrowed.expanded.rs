/// Answers what customers ask.
#[allow(clippy::unused_async)]
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub(crate) struct support;
impl support {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
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
impl ::openmail_tower::handler::EventHandler for support {
    const ROUTE: ::openmail_tower::__private::Route = ::openmail_tower::__private::Route {
        name: "support",
        events: &["message.received"],
        inboxes: &["inb_support"],
        location: ::openmail_tower::__private::Location {
            file: ::core::file!(),
            line: ::core::line!(),
        },
    };
}
#[automatically_derived]
impl<__State> ::openmail_tower::handler::Handler<__State> for support
where
    __State: ::core::marker::Send + ::core::marker::Sync + 'static,
    for<'e> &'e MessageReceived: ::openmail_tower::FromEvent<
        'e,
        ::openmail_tower::__private::kinds::CheckedEvent,
        __State,
    >,
    for<'e> State<
        Agent,
    >: ::openmail_tower::FromEvent<
        'e,
        ::openmail_tower::__private::kinds::CheckedEvent,
        __State,
    >,
    for<'e> Headers<
        'e,
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
                ::openmail_tower::__private::kinds::MessageReceivedEvent,
                &'e MessageReceived,
            >();
            ::openmail_tower::__private::argument::<
                ::openmail_tower::__private::kinds::MessageReceivedEvent,
                State<Agent>,
            >();
            ::openmail_tower::__private::argument::<
                ::openmail_tower::__private::kinds::MessageReceivedEvent,
                Headers<'e>,
            >();
        }
        ::openmail_tower::OutcomeFuture::new(async move {
            let __a0 = <&MessageReceived as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            let __a1 = <State<
                Agent,
            > as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            let __a2 = <Headers<
                '_,
            > as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            ::openmail_tower::IntoOutcome::into_outcome(
                support::call(__a0, __a1, __a2).await,
            )
        })
    }
}
