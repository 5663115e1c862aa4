#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct lifecycle;
impl lifecycle {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
    async fn call(news: &Lifecycle) {
        println!("{news:?}");
    }
}
impl ::openmail_tower::handler::EventHandler for lifecycle {
    const ROUTE: ::openmail_tower::__private::Route = ::openmail_tower::__private::Route {
        name: "lifecycle",
        events: &["inbox.suspended", "inbox.reactivated"],
        inboxes: &[SUPPORT, config::sales(), "inb_other"],
        location: ::openmail_tower::__private::Location {
            file: ::core::file!(),
            line: ::core::line!(),
        },
    };
}
#[automatically_derived]
impl<__State> ::openmail_tower::handler::Handler<__State> for lifecycle
where
    __State: ::core::marker::Send + ::core::marker::Sync + 'static,
    for<'e> &'e Lifecycle: ::openmail_tower::FromEvent<
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
                (
                    ::openmail_tower::__private::kinds::InboxSuspendedEvent,
                    ::openmail_tower::__private::kinds::InboxReactivatedEvent,
                ),
                &'e Lifecycle,
            >();
        }
        ::openmail_tower::OutcomeFuture::new(async move {
            let __a0 = <&Lifecycle as ::openmail_tower::FromEvent<
                '_,
                ::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            ::openmail_tower::IntoOutcome::into_outcome(lifecycle::call(__a0).await)
        })
    }
}
