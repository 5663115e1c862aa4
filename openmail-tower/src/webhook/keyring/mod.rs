//! Which secrets may sign a request, and for which inbox.
//!
//! [`Secrets`](crate::Secrets) is the keyring of one account. [`InboxKeyring`] also holds secrets
//! of individual inboxes and can be changed while in use. To keep secrets elsewhere, implement
//! [`Keyring`].

mod inbox;
mod lookup;
mod rotation;

pub use inbox::InboxKeyring;
pub(crate) use lookup::{Asked, Holder, peek_inbox_id};
pub use lookup::{Keyring, Keys, Scope};
