//! The documentation of `#[openmail_handler]`. It is here so that its examples are compiled.

/// Turns an async function into a handler of events.
///
/// ```
/// use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};
///
/// #[derive(Clone)]
/// struct Agent;
///
/// /// Answers customers' questions.
/// #[openmail_handler(event = "message.received", inbox = "inb_support")]
/// async fn support(mail: &MessageReceived, State(agent): State<Agent>) -> std::io::Result<()> {
///     println!("{:?}: {:?}", mail.message.from, mail.message.subject);
///     Ok(())
/// }
///
/// let events = EventRouter::new().handler(support).with_state(Agent);
/// ```
///
/// The function becomes a value of the same name, to be passed to
/// [`EventRouter::handler`](crate::EventRouter::handler). In tests, call the function itself as
/// `support::call(&mail, State(agent)).await`; a plain `support(…)` does not compile.
///
/// The value is a unit struct. So in its module, `let support = …` is a pattern that matches that
/// value, not a new variable (E0308), and no module can have the same name. Choose another name for
/// the variable or the module.
///
/// # The attribute's arguments
///
/// | argument | meaning |
/// |---|---|
/// | `event = "message.received"`, `event = ["inbox.suspended", "pod.suspended"]` | The events that the handler takes. Without this argument, it takes any event and is registered with [`EventRouter::fallback`](crate::EventRouter::fallback) |
/// | `inbox = "inb_support"`, `inbox = [SUPPORT, "inb_sales"]` | The inboxes whose events the handler takes: a constant expression of type `&'static str`, or a list of them. Without this argument, every inbox without its own handler for the event. An event that names no inbox, such as `pod.*`, belongs to one only if it was signed with that inbox's own secret. For ids that are only known at start-up, use [`EventRouter::inbox`](crate::EventRouter::inbox) |
/// | `unlisted` | Allows event names that this version of the crate does not know. [`Payload<T>`](crate::Payload) reads such events |
/// | `state = AppState` | Restricts the handler to routers with this state, so that an argument that does not fit the state is reported at that argument and not where the handler is registered |
/// | `crate = "path::to::openmail_tower"` | The path of this crate, if it is neither `::openmail_tower` nor the name that the package's `Cargo.toml` gives it (`om = { package = "openmail-tower", … }`). Needed if another crate re-exports this crate, or a workspace renames it |
///
/// Registering two handlers for the same event and inbox panics.
///
/// # The function
///
/// It must be `async`, free (neither a method nor an associated function) and not generic, and its
/// future must be `Send`. Its arguments are those that [`FromEvent`](crate::FromEvent) lists, or
/// types of your own that implement it. Leave their lifetimes unnamed: `&Message`, `Yours<'_>`. An
/// argument that the handler's events do not have is a compile error at that argument. A handler
/// that takes the whole state needs it to be [`Clone`]. The function returns what
/// [`IntoOutcome`](crate::IntoOutcome) accepts: nothing, an [`Outcome`](crate::Outcome), a `Reply`
/// (also in an `Option` or a `Vec`), or a `Result` of these with any error that is [`Send`] and
/// [`Sync`].
///
/// ```
/// use openmail_tower::{EventId, Lifecycle, Payload, VerifiedEvent, handler::RawBody, openmail_handler};
///
/// #[openmail_handler(event = ["inbox.suspended", "inbox.reactivated"])]
/// async fn lifecycle(change: &Lifecycle, id: EventId) {
///     println!("{id}: {:?}", change.reason);
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Bounce {
///     recipient: String,
/// }
///
/// #[openmail_handler(event = "message.bounced", unlisted)]
/// async fn bounced(Payload(bounce): Payload<Bounce>) {
///     println!("{} does not exist", bounce.recipient);
/// }
///
/// #[openmail_handler]
/// async fn rest(event: &VerifiedEvent, RawBody(raw): RawBody) {
///     println!("{}: {} bytes", event.kind(), raw.len());
/// }
/// ```
///
/// # Other attributes
///
/// Docs and `#[deprecated]` go to the value; lint levels go to both the value and the function;
/// everything else, including `#[expect]`, goes to the function. `#[tracing::instrument]` keeps the
/// handler's name as the name of its span.
#[doc(inline)]
pub use openmail_macros::openmail_handler;
