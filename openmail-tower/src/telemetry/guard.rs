//! Reports what a guard did.

/// The store of a guard's counts failed, and a reply was counted in memory.
pub(crate) fn uncounted(error: &dyn std::error::Error) {
    super::log::uncounted(error);
}

/// A rule of a guard acted on the mail of the current span.
pub(crate) fn guarded(action: &'static str, rule: &'static str, reason: &'static str) {
    super::log::guarded(action, rule, reason);
    super::metric::guarded(action, rule);
}
