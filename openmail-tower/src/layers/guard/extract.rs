//! [`Guarded`].

use crate::{
    handler::FromEvent,
    seam::{HandlerError, VerifiedEvent},
};

use super::rule::{Fired, Rule};

/// What the guard decided about this mail. A handler can take it as an argument.
///
/// Without a guard, and for events that are not mails, no reply is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guarded {
    muted: Option<Fired>,
}

impl Guarded {
    pub(super) fn new(muted: Option<Fired>) -> Self {
        Self { muted }
    }

    /// Returns whether the handler's reply will be withheld. Even if this returns `false`, the
    /// reply is withheld if other replies use up the rate meanwhile.
    pub fn withholds_replies(&self) -> bool {
        self.muted.is_some()
    }

    /// Returns the rule that will withhold the reply.
    pub fn rule(&self) -> Option<Rule> {
        self.muted.map(|fired| fired.rule)
    }
}

impl<'e, S> FromEvent<'e, S> for Guarded {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        Ok(event.extensions().get::<Self>().copied().unwrap_or_default())
    }
}
