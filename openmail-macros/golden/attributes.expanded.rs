#[allow(deprecated)]
/// Docs stay on the value.
#[deprecated]
#[allow(non_camel_case_types)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct support;
const _: () = {
    #[allow(non_camel_case_types, deprecated)]
    type __This = support;
    #[allow(deprecated)]
    impl __This {
        /// The function itself, for tests.
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::unused_async
        )]
        #[instrument(name = "support", level = "info")]
        #[must_use]
        #[expect(unused_variables)]
        async fn call(text: &'_ Event) {
            #![allow(unused)]
        }
    }
    #[allow(deprecated)]
    #[automatically_derived]
    impl<__State> app::openmail_tower::handler::EventHandler<__State> for __This
    where
        Self: app::openmail_tower::handler::Handler<__State>,
    {
        const ROUTE: app::openmail_tower::handler::Route = app::openmail_tower::handler::Route {
            name: "support",
            events: &["setup.test"],
            inboxes: &[],
            location: app::openmail_tower::handler::Location {
                file: ::core::file!(),
                line: ::core::line!(),
            },
        };
    }
    #[allow(deprecated)]
    #[automatically_derived]
    impl<__State> app::openmail_tower::handler::Handler<__State> for __This
    where
        __State: ::core::marker::Send + ::core::marker::Sync + 'static,
        for<'e> &'e Event: app::openmail_tower::FromEvent<'e, __State>,
    {
        fn call(
            &self,
            __openmail_event: app::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<__State>,
        ) -> app::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use app::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&app::openmail_tower::handler::Argument::<&'e Event>::new())
                    .of::<app::openmail_tower::handler::kinds::SetupTestEvent>();
            }
            app::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <&'_ Event as app::openmail_tower::FromEvent<
                    '_,
                    __State,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                app::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(__openmail_argument0).await,
                )
            })
        }
    }
};
