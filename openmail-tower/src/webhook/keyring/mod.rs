//! Which secrets may sign a request, and for which inbox.
//!
//! [`Secrets`](crate::Secrets) is the keyring of one account; [`InboxKeyring`] holds secrets of
//! single inboxes as well, and changes while it is in use; [`Keyring`] is for whoever keeps them
//! elsewhere.

mod inbox;
mod lookup;
mod rotation;

pub use inbox::InboxKeyring;
pub(crate) use lookup::{Asked, Holder, peek_inbox_id};
pub use lookup::{Keyring, Keys, Scope};
