//! The secrets of one holder during a rotation.

use std::time::Duration;

use tokio::time::Instant;

use crate::webhook::secret::{Secret, Secrets};

/// The current secrets and, for a limited time, their predecessors.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    current: Secrets,
    overlap: Option<Overlap>,
}

#[derive(Debug, Clone)]
struct Overlap {
    both: Secrets,
    /// `None` means until the next change.
    end: Option<Instant>,
}

impl Rotation {
    pub(super) fn new(current: Secrets) -> Self {
        Self { current, overlap: None }
    }

    /// Makes `new` the current secret, and still accepts the previous ones for `overlap`.
    pub(super) fn rotate(&self, new: Secret, overlap: Duration) -> Self {
        let both = self.current.iter().cloned().fold(Secrets::new(new.clone()), Secrets::and);
        let end = Instant::now().checked_add(overlap);
        Self { current: new.into(), overlap: Some(Overlap { both, end }) }
    }

    /// Returns the secrets that are accepted now.
    pub(super) fn secrets(&self) -> &Secrets {
        match &self.overlap {
            Some(Overlap { both, end }) if end.is_none_or(|end| Instant::now() < end) => both,
            _ => &self.current,
        }
    }
}
