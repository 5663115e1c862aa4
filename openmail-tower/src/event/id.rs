//! Ids. OpenMail documents prefixes (`inb_…`) but also sends bare UUIDs, so ids are treated as
//! opaque text.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    glimpse::{Cut, Glimpse},
    payload::Text,
};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Opaque text, compared byte by byte; cheap to clone. `Debug` cuts it at 100 characters.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Text::deserialize(deserializer).map(|text| text.as_str().into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&Cut(&self.0), f)
            }
        }

        impl Glimpse for $name {
            fn glimpse(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    )*};
}

ids! {
    /// An event's id: the same in every attempt to deliver it.
    EventId;
    /// An inbox's id, by which events are routed.
    InboxId;
    /// A thread's id. A thread is a conversation: a mail and the replies to it.
    ThreadId;
    /// A message's id.
    MessageId;
    /// The id of a pod. A pod is a group of inboxes.
    PodId;
}

/// A concurrent map, keyed by inbox, for up to millions of inboxes. A reader never waits for a
/// writer, not even while the map grows.
///
/// OpenMail generates the ids, so an attacker cannot choose ids that collide, and a fast hash is
/// enough.
pub(crate) type InboxMap<T> = papaya::HashMap<InboxId, T, foldhash::fast::RandomState>;
