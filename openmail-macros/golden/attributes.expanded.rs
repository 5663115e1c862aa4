#[allow(deprecated)]
/// Docs stay on the value.
#[deprecated]
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct support;
#[allow(deprecated)]
impl support {
    /// The function itself, for tests.
    #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
    #[instrument(name = "support", level = "info")]
    #[must_use]
    #[expect(unused_variables)]
    async fn call(text: &'_ Event) {
        #![allow(unused)]
    }
}
#[allow(deprecated)]
impl app::openmail_tower::handler::EventHandler for support {
    const ROUTE: app::openmail_tower::__private::Route = app::openmail_tower::__private::Route {
        name: "support",
        events: &["setup.test"],
        inboxes: &[],
        location: app::openmail_tower::__private::Location {
            file: ::core::file!(),
            line: ::core::line!(),
        },
    };
}
#[allow(deprecated)]
#[automatically_derived]
impl<__State> app::openmail_tower::handler::Handler<__State> for support
where
    __State: ::core::marker::Send + ::core::marker::Sync + 'static,
    for<'e> &'e Event: app::openmail_tower::FromEvent<
        'e,
        app::openmail_tower::__private::kinds::CheckedEvent,
        __State,
    >,
{
    fn call(
        &self,
        __event: app::openmail_tower::VerifiedEvent,
        __state: app::openmail_tower::__private::Arc<__State>,
    ) -> app::openmail_tower::OutcomeFuture {
        fn __arguments<'e>() {
            app::openmail_tower::__private::argument::<
                app::openmail_tower::__private::kinds::SetupTestEvent,
                &'e Event,
            >();
        }
        app::openmail_tower::OutcomeFuture::new(async move {
            let __a0 = <&'_ Event as app::openmail_tower::FromEvent<
                '_,
                app::openmail_tower::__private::kinds::CheckedEvent,
                __State,
            >>::from_event(&__event, &__state)?;
            app::openmail_tower::IntoOutcome::into_outcome(support::call(__a0).await)
        })
    }
}
