#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct sent;
impl sent {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
    async fn call(Payload(payload): Payload<Sent>, log: State<Log>) {}
}
impl ::openmail_tower::handler::EventHandler for sent {
    const ROUTE: ::openmail_tower::__private::Route = ::openmail_tower::__private::Route {
        name: "sent",
        events: &["message.sent", "setup.test"],
        inboxes: &[],
        location: ::openmail_tower::__private::Location {
            file: ::core::file!(),
            line: ::core::line!(),
        },
    };
}
#[automatically_derived]
impl ::openmail_tower::handler::Handler<AppState> for sent {
    fn call(
        &self,
        __event: ::openmail_tower::VerifiedEvent,
        __state: ::openmail_tower::__private::Arc<AppState>,
    ) -> ::openmail_tower::OutcomeFuture {
        ::openmail_tower::OutcomeFuture::new(async move {
            let __a0 = <Payload<
                Sent,
            > as ::openmail_tower::FromEvent<
                '_,
                (
                    ::openmail_tower::__private::kinds::UnlistedEvent,
                    ::openmail_tower::__private::kinds::SetupTestEvent,
                ),
                AppState,
            >>::from_event(&__event, &__state)?;
            let __a1 = <State<
                Log,
            > as ::openmail_tower::FromEvent<
                '_,
                (
                    ::openmail_tower::__private::kinds::UnlistedEvent,
                    ::openmail_tower::__private::kinds::SetupTestEvent,
                ),
                AppState,
            >>::from_event(&__event, &__state)?;
            ::openmail_tower::IntoOutcome::into_outcome(sent::call(__a0, __a1).await)
        })
    }
}
