//! What OpenMail tells: [`Event`], its typed payloads, and ids as newtypes.
//!
//! Nothing here fails on news. Only what a handler cannot do without is required: the name of the
//! event and, of `message.received`, `event_id`, `inbox_id`, `message.id` and `message.from`.
//! Everything else may be absent, null, or of a form that this crate does not know; what is not
//! known stays in `extra`, under its own name, save items of a list: those are in the raw body.

mod id;
mod kind;
mod lenient;
mod lifecycle;
mod mailbox;
mod message;
mod parse;
mod payload;
mod read;
mod text;
mod unlisted;
mod value;

pub(crate) use id::InboxMap;
pub use id::{EventId, InboxId, MessageId, PodId, ThreadId};
pub use kind::EventKind;
pub use lifecycle::{Lifecycle, SuspensionReason};
pub use mailbox::Mailbox;
pub use message::{Attachment, Category, ExtractionMethod, Message, MessageReceived, Verdict};
pub use parse::{Event, InvalidPayload};
pub(crate) use read::mending;
pub use unlisted::{SetupTest, UnknownEvent};
