//! Events as OpenMail sends them: [`Event`], its typed payloads, and ids as newtypes.
//!
//! New events, fields and values never cause an error. `message.received` requires only `inbox_id`
//! and `message.id`; if one is missing, the event is an [`UnknownEvent`] that says so. Every other
//! field may be absent, null, or in a form that this crate does not know. Anything unknown is kept
//! in `extra` under its own name. Three things are in the raw body only: what is not understood in
//! a list field, the other values of a field that appears more than once, and everything but the
//! name and the ids of an event that is nested too deeply.

mod address;
mod auto_reply;
mod clean;
mod deserialize_error;
mod fenced;
mod glimpse;
mod header;
mod id;
mod invalid;
mod kind;
mod lenient;
mod lifecycle;
mod mailbox;
mod mend;
mod message;
mod misfit;
mod new_text;
mod parse;
mod pattern;
mod payload;
mod read;
mod routing;
mod unlisted;
mod value;
mod weight;
mod words;

pub use address::{Address, InvalidAddress};
pub use auto_reply::NoReplyReason;
#[cfg(any(feature = "guard", feature = "queue-postgres", feature = "queue-sqlite"))]
pub(crate) use clean::beginning;
#[cfg(feature = "api")]
pub(crate) use clean::one_line;
pub(crate) use deserialize_error::DeserializeError;
pub use fenced::Fenced;
pub(crate) use id::InboxMap;
pub use id::{EventId, InboxId, MessageId, PodId, ThreadId};
pub use invalid::{InvalidPayload, InvalidPayloadKind};
pub use kind::EventKind;
pub use lifecycle::{Lifecycle, SuspensionReason};
pub use mailbox::Mailbox;
#[cfg(feature = "api")]
pub(crate) use mailbox::{addresses, single_address};
pub(crate) use mend::mending;
pub use message::{Attachment, Category, ExtractionMethod, Message, MessageReceived, Verdict};
pub use misfit::Misfit;
#[cfg(feature = "guard")]
pub(crate) use new_text::each_new_part;
pub use parse::Event;
pub use pattern::{AddressPattern, InvalidPattern};
pub use unlisted::{SetupTest, UnknownEvent};
pub(crate) use weight::weight;
