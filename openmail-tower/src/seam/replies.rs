//! [`Replies`]: carries replies in an outcome without depending on the module `reply`.

use std::{any::Any, fmt, sync::Arc};

/// The replies that a handler returned and that have not been sent yet.
///
/// Opaque: made from a [`Reply`](crate::reply::Reply) that a handler returns, and taken by
/// [`ReplyLayer`](crate::reply::ReplyLayer) or by a worker of the queue. Equal only to its own
/// clones.
#[derive(Clone)]
pub struct Replies(Arc<dyn Any + Send + Sync>);

impl Replies {
    #[cfg(feature = "api")]
    pub(crate) fn new(replies: impl Any + Send + Sync) -> Self {
        Self(Arc::new(replies))
    }

    /// Returns the value that it was made from.
    #[cfg(feature = "api")]
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl PartialEq for Replies {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Replies {}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
