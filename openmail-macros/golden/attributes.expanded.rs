#[allow(deprecated)]
/// Docs stay on the value.
#[deprecated]
#[allow(non_camel_case_types)]
struct support;
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
    impl<RouterState> app::openmail_tower::handler::EventHandler<RouterState> for __This
    where
        Self: app::openmail_tower::handler::Handler<RouterState>,
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
    impl<RouterState> app::openmail_tower::handler::Handler<RouterState> for __This
    where
        RouterState: ::core::marker::Send + ::core::marker::Sync + 'static,
        for<'e> &'e Event: app::openmail_tower::FromEvent<'e, RouterState>,
    {
        fn call(
            &self,
            __openmail_event: app::openmail_tower::VerifiedEvent,
            __openmail_state: ::std::sync::Arc<RouterState>,
        ) -> app::openmail_tower::OutcomeFuture {
            fn __openmail_arguments<'e>() {
                use app::openmail_tower::handler::{AnyArgument as _, PartOfEvent as _};
                (&&app::openmail_tower::handler::Argument::<&'e Event>::new())
                    .of::<app::openmail_tower::handler::kinds::SetupTestEvent>();
            }
            app::openmail_tower::OutcomeFuture::new(async move {
                let __openmail_argument0 = <&'_ Event as app::openmail_tower::FromEvent<
                    '_,
                    RouterState,
                >>::from_event(&__openmail_event, &__openmail_state)?;
                app::openmail_tower::IntoOutcome::into_outcome(
                    Self::call(__openmail_argument0).await,
                )
            })
        }
    }
};
