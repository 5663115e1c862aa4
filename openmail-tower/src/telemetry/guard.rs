//! Reports what a guard did.

/// Records that a guard's count store failed, so that a reply was counted in memory.
pub(crate) fn uncounted(error: &dyn std::error::Error) {
    super::log::uncounted(error);
}

/// Records that a rule of a guard acted on the mail of the current span. `scope` names the mails for
/// which the rule fires.
pub(crate) fn guarded(
    action: &'static str,
    rule: &'static str,
    reason: &'static str,
    scope: &'static str,
) {
    super::log::guarded(action, rule, reason, scope);
    super::metric::guarded(action, rule);
}
