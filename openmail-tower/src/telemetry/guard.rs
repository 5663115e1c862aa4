//! Reports what a guard did.

/// A rule of a guard acted on the mail of the current span.
pub(crate) fn guarded(action: &'static str, rule: &'static str, reason: &'static str) {
    super::log::guarded(action, rule, reason);
    super::metric::guarded(action, rule);
}
