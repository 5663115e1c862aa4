//! The documentation of `#[openmail_handler]`: it stands here so that its examples are compiled.

/// Makes an async function a handler of events.
///
/// ```
/// use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};
///
/// #[derive(Clone)]
/// struct Agent;
///
/// /// Answers what customers ask.
/// #[openmail_handler(event = "message.received", inbox = "inb_support")]
/// async fn support(mail: &MessageReceived, State(agent): State<Agent>) -> std::io::Result<()> {
///     println!("{:?}: {:?}", mail.message.from, mail.message.subject);
///     Ok(())
/// }
///
/// let events = EventRouter::new().handler(support).with_state(Agent);
/// ```
///
/// The function becomes a value of its name, which [`EventRouter::handler`](crate::EventRouter::handler)
/// takes. The function itself is `support::call(&mail, State(agent)).await`, for tests; a bare
/// `support(…)` does not compile.
///
/// The value is a unit struct. In its module, `let support = …` would match that value instead of
/// making a variable (E0308), and no module can have its name: call the variable something else.
///
/// # The attribute's arguments
///
/// | argument | |
/// |---|---|
/// | `event = "message.received"`, `event = ["inbox.suspended", "pod.suspended"]` | The events it handles. Without, it handles whatever comes, and [`EventRouter::fallback`](crate::EventRouter::fallback) takes it |
/// | `inbox = "inb_support"`, `inbox = [SUPPORT, "inb_sales"]` | The inboxes it handles them for: any constant expression of type `&'static str`, or a list of them. Without, every inbox that no other handler asks for. For ids that are known only at start-up there is [`EventRouter::inbox`](crate::EventRouter::inbox) |
/// | `unlisted` | Allows events that this version of the crate does not know. [`Payload<T>`](crate::Payload) reads them |
/// | `state = AppState` | A handler for routers of this state only, so that an argument that does not suit it is refused where it stands and not where the handler is registered |
/// | `crate = "path::to::openmail_tower"` | Where this crate is, if it is neither at `::openmail_tower` nor under the name that the `Cargo.toml` of the package gives it (`om = { package = "openmail-tower", … }`). Needed where another crate re-exports it, or a workspace renames it |
///
/// Two handlers of one event and inbox panic where the second is registered.
///
/// # The function
///
/// It is `async`, free (neither a method nor an associated function), not generic, and its future is
/// `Send`. It takes what
/// [`FromEvent`](crate::FromEvent) lists, by reference without a lifetime (`&Message`, `Own<'_>`) or
/// as a whole; an argument that its events do not have is refused at that argument. State that it takes must be
/// [`Clone`]. It returns what
/// [`IntoOutcome`](crate::IntoOutcome) is for: nothing, an [`Outcome`](crate::Outcome), or a
/// `Result` with any error.
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
/// Docs and `#[deprecated]` go to the value, lint levels to both the value and the function, anything
/// else, `#[expect]` too, to the function. `#[tracing::instrument]` keeps the handler's name as its
/// span's.
#[doc(inline)]
pub use openmail_macros::openmail_handler;
