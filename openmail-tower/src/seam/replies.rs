//! [`Replies`]: what an outcome carries of the module `reply`, which the seam does not know.

use std::{any::Any, fmt, sync::Arc};

/// The replies that a handler returned, on their way to what sends them.
///
/// Opaque: made of a [`Reply`](crate::reply::Reply) that a handler returns, and taken by
/// [`ReplyLayer`](crate::reply::ReplyLayer) or by a worker of the queue. Clones are the same replies
/// and equal, and no others are.
#[derive(Clone)]
pub struct Replies(Arc<dyn Any + Send + Sync>);

impl Replies {
    #[cfg(feature = "api")]
    pub(crate) fn new(replies: impl Any + Send + Sync) -> Self {
        Self(Arc::new(replies))
    }

    /// What they were made of.
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
