//! [`Rule`] and [`Action`]: what a guard checks, and what it does.

/// What a guard does with a mail. Each action is stronger than the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// The handler runs, and its reply is sent.
    Pass,
    /// The handler runs, and its reply is withheld.
    Mute,
    /// The handler runs later. A queue does not count this as an attempt.
    PutOff,
    /// The handler does not run.
    Refuse,
}

impl Action {
    /// Returns the action as a word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Mute => "mute",
            Self::PutOff => "put_off",
            Self::Refuse => "refuse",
        }
    }
}

/// A reason for which a guard acts. The [module](super) lists the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// OpenMail's verdict or category of the mail is spam or malicious, or has a form that is not
    /// understood.
    Verdict,
    /// The mail may not be answered automatically.
    AutoReply,
    /// The sender is one of your own addresses, or the only address in `to`.
    OwnAddress,
    /// The sender is not on the allow-list, or is on the block-list.
    Sender,
    /// Too many mails were answered in this thread, for this sender, or in this inbox.
    ReplyRate,
    /// There were too many runs for this sender or this inbox.
    RunRate,
    /// The sender has written nearly the same text repeatedly.
    Loop,
    /// A [`Pause`](super::Pause) is on.
    Pause,
}

impl Rule {
    pub(super) const COUNT: usize = 8;

    /// Returns the rule as a word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::AutoReply => "auto_reply",
            Self::OwnAddress => "own_address",
            Self::Sender => "sender",
            Self::ReplyRate => "reply_rate",
            Self::RunRate => "run_rate",
            Self::Loop => "loop",
            Self::Pause => "pause",
        }
    }

    fn default_action(self) -> Action {
        match self {
            Self::Verdict | Self::OwnAddress | Self::Sender => Action::Refuse,
            Self::AutoReply | Self::ReplyRate | Self::Loop => Action::Mute,
            Self::RunRate | Self::Pause => Action::PutOff,
        }
    }
}

/// The action of each rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Actions([Action; Rule::COUNT]);

impl Default for Actions {
    fn default() -> Self {
        let rules = [
            Rule::Verdict,
            Rule::AutoReply,
            Rule::OwnAddress,
            Rule::Sender,
            Rule::ReplyRate,
            Rule::RunRate,
            Rule::Loop,
            Rule::Pause,
        ];
        Self(rules.map(Rule::default_action))
    }
}

impl Actions {
    pub(super) fn of(&self, rule: Rule) -> Action {
        self.0[rule as usize]
    }

    pub(super) fn set(&mut self, rule: Rule, action: Action) {
        self.0[rule as usize] = action;
    }
}

/// A rule that fired, its action, and the reason in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) rule: Rule,
    pub(super) action: Action,
    pub(super) reason: &'static str,
    pub(super) scope: Scope,
}

/// The mails for which a rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One mail, or those of its sender.
    Sender,
    /// All mails of a thread.
    Thread,
    /// All mails of an inbox.
    Inbox,
}

impl Scope {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Thread => "thread",
            Self::Inbox => "inbox",
        }
    }
}

impl Fired {
    /// Returns whether the handler does not run, or not now.
    pub(super) fn stops(&self) -> bool {
        self.action > Action::Mute
    }

    /// Returns whether other mails of the lane may run before one that is put off. A lane may
    /// contain mails of other senders and threads, which must not wait for this one.
    pub(super) fn steps_aside(&self) -> bool {
        self.scope != Scope::Inbox
    }

    /// Returns the rule with the stronger action, or the first if the actions are equal.
    pub(super) fn stronger(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) if second.action > first.action => Some(second),
            (first, second) => first.or(second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_action_of_a_rule_changes_no_other() {
        let mut actions = Actions::default();
        assert_eq!(actions.of(Rule::Pause), Action::PutOff);
        assert_eq!(actions.of(Rule::Verdict), Action::Refuse);
        actions.set(Rule::Pause, Action::Pass);
        assert_eq!(actions.of(Rule::Pause), Action::Pass);
        assert_eq!(actions.of(Rule::Loop), Action::Mute);
    }
}
