//! Decides which mail may be answered automatically.

use super::{
    address::Address,
    message::{Category, Message, Verdict},
};

/// Why a mail must not be answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoReplyReason {
    /// Its verdict is spam or malicious, or is neither text nor null.
    Verdict,
    /// Its category is bounce, automated, marketing, spam or malicious, or is neither text nor
    /// null.
    Category,
    /// Its `auto_replyable` is false, or is neither a boolean nor null.
    NotReplyable,
    /// It has no single sender that can be parsed, as in bounces.
    NoSender,
    /// Its sender is a program: `mailer-daemon`, `postmaster`, `no-reply` and the like.
    RobotSender,
}

impl NoReplyReason {
    /// Returns the reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Category => "category",
            Self::NotReplyable => "not_replyable",
            Self::NoSender => "no_sender",
            Self::RobotSender => "robot_sender",
        }
    }
}

impl Message {
    /// Returns whether an agent should see this mail at all: `false` if the verdict or the category
    /// is spam or malicious. OpenMail's own clients never hand such mail to an agent.
    ///
    /// Also `false` if the verdict or category is neither a string nor null, and so was kept in
    /// `extra`: it may have meant spam.
    pub fn is_trustworthy(&self) -> bool {
        !self.is_odd("verdict")
            && !self.is_odd("category")
            && !matches!(self.verdict, Some(Verdict::Spam | Verdict::Malicious))
            && !matches!(self.category, Some(Category::Spam | Category::Malicious))
    }

    /// Returns whether the mail may be answered automatically, which is when
    /// [`no_reply_reason`](Self::no_reply_reason) is `None`. Check this before you reply: most mail
    /// is not from a person, and two agents that answer each other never stop.
    pub fn may_auto_reply(&self) -> bool {
        self.no_reply_reason().is_none()
    }

    /// Returns why the mail must not be answered automatically, or `None` if it may be:
    ///
    /// | field | not answered if |
    /// |---|---|
    /// | `verdict` | spam, malicious |
    /// | `category` | bounce, automated, marketing, spam, malicious |
    /// | `auto_replyable` | false |
    /// | [`sender`](Self::sender) | none, or several |
    /// | local part of the sender | `mailer-daemon` or `postmaster`, or one that begins or ends with the word `no-reply`, `do-not-reply` or `dont-reply`; hyphens, underscores and dots are optional, and everything from a `+` on is ignored |
    ///
    /// If `verdict`, `category` or `auto_replyable` came in a form that is not understood, and so
    /// was kept in `extra`, the mail is not answered either.
    pub fn no_reply_reason(&self) -> Option<NoReplyReason> {
        self.no_reply_reason_for(self.sender_address().as_ref())
    }

    /// Like [`no_reply_reason`](Self::no_reply_reason), with the mail's sender, already parsed.
    pub(crate) fn no_reply_reason_for(&self, sender: Option<&Address>) -> Option<NoReplyReason> {
        if matches!(self.verdict, Some(Verdict::Spam | Verdict::Malicious))
            || self.is_odd("verdict")
        {
            return Some(NoReplyReason::Verdict);
        }
        let category = matches!(
            self.category,
            Some(
                Category::Bounce
                    | Category::Automated
                    | Category::Marketing
                    | Category::Spam
                    | Category::Malicious
            )
        );
        if category || self.is_odd("category") {
            return Some(NoReplyReason::Category);
        }
        if self.auto_replyable == Some(false) || self.is_odd("auto_replyable") {
            return Some(NoReplyReason::NotReplyable);
        }
        match sender {
            None => Some(NoReplyReason::NoSender),
            Some(sender) => is_robot(sender).then_some(NoReplyReason::RobotSender),
        }
    }

    /// Returns whether a field came in a form that is not understood.
    fn is_odd(&self, field: &str) -> bool {
        self.extra.get(field).is_some_and(|value| !value.is_null())
    }
}

/// Returns whether the local part of an address is that of a program.
fn is_robot(address: &Address) -> bool {
    const SEPARATORS: [char; 4] = ['-', '_', '.', ' '];
    let local = address.local_part().trim_matches('"');
    let local = local.split_once('+').map_or(local, |(local, _)| local);
    let letters = || local.bytes().filter(|byte| !SEPARATORS.contains(&char::from(*byte)));
    let is = |robot: &str| letters().eq(robot.bytes());
    if is("mailerdaemon") || is("postmaster") {
        return true;
    }
    // Most addresses neither begin nor end like the words below.
    if !matches!(letters().next(), Some(b'n' | b'd')) && letters().next_back() != Some(b'y') {
        return false;
    }
    let words = || local.split(SEPARATORS).filter(|word| !word.is_empty());
    // `no-reply-billing` and `billing.noreply` match; `norepley` and `no-replyton` do not.
    ["noreply", "donotreply", "dontreply"].iter().any(|robot| {
        consume(robot, words().take(3), |rest, word| rest.strip_prefix(word))
            || consume(robot, words().rev().take(3), |rest, word| rest.strip_suffix(word))
    })
}

/// Returns whether the first few words, joined together, are `text`. `take` removes a word from one
/// end of the text.
fn consume<'a>(
    text: &'a str,
    mut words: impl Iterator<Item = &'a str>,
    take: impl Fn(&'a str, &'a str) -> Option<&'a str>,
) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        match words.next().and_then(|word| take(rest, word)) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &str) -> Message {
        serde_json::from_str(&format!(r#"{{"id":"m",{fields}}}"#)).unwrap()
    }

    fn with(field: &str) -> Message {
        message(&format!(r#""from":"Ada <ada@b.example>",{field}"#))
    }

    #[test]
    fn each_rule_alone_forbids_a_reply() {
        use NoReplyReason::{Category, NotReplyable, Verdict};
        for (field, reason, trustworthy) in [
            (r#""x":1"#, None, true),
            (r#""auto_replyable":true,"verdict":"clean","category":"personal""#, None, true),
            (r#""auto_replyable":null,"verdict":null,"category":null"#, None, true),
            (r#""verdict":"news","category":"news""#, None, true),
            (r#""auto_replyable":false"#, Some(NotReplyable), true),
            (r#""auto_replyable":"no""#, Some(NotReplyable), true),
            (r#""auto_replyable":0"#, Some(NotReplyable), true),
            (r#""category":"bounce""#, Some(Category), true),
            (r#""category":"Bounce""#, Some(Category), true),
            (r#""category":"automated""#, Some(Category), true),
            (r#""category":"Marketing""#, Some(Category), true),
            (r#""category":"SPAM""#, Some(Category), false),
            (r#""category":"malicious""#, Some(Category), false),
            (r#""category":7"#, Some(Category), false),
            (r#""verdict":"SPAM""#, Some(Verdict), false),
            (r#""verdict":"Malicious""#, Some(Verdict), false),
            (r#""verdict":["spam"]"#, Some(Verdict), false),
            (r#""verdict":{"is":"malicious"}"#, Some(Verdict), false),
        ] {
            let mail = with(field);
            assert_eq!(mail.no_reply_reason(), reason, "{field}");
            assert_eq!(mail.may_auto_reply(), reason.is_none(), "{field}");
            assert_eq!(mail.is_trustworthy(), trustworthy, "{field}");
        }
    }

    #[test]
    fn does_not_answer_programs_or_an_absent_sender() {
        for from in [
            "",
            "<>",
            "MAILER-DAEMON",
            "not an address",
            "a@b.example, c@d.example",
            "undisclosed:;",
        ] {
            let mail = message(&format!(r#""from":"{from}""#));
            assert_eq!(mail.no_reply_reason(), Some(NoReplyReason::NoSender), "{from}");
        }
        for from in [
            "MAILER-DAEMON@b.example",
            "Mail <mailer-daemon@b.example>",
            "mailer_daemon@b.example",
            "Postmaster@b.example",
            "no-reply@b.example",
            "NoReply@b.example",
            "no_reply@b.example",
            "no.reply@b.example",
            "do-not-reply@b.example",
            "donotreply@b.example",
            "no-reply+ticket7@b.example",
            "no-reply-billing@b.example",
            "billing.noreply@b.example",
            "Ada <noreply@b.example>",
        ] {
            let mail = message(&format!(r#""from":"{from}""#));
            assert_eq!(mail.no_reply_reason(), Some(NoReplyReason::RobotSender), "{from}");
        }
        for from in [
            "ada@b.example",
            "\\\"no-reply\\\" <ada@b.example>",
            "reply@b.example",
            "nora.reply@b.example",
            "ada@no-reply.example",
            "daemon@b.example",
        ] {
            assert!(message(&format!(r#""from":"{from}""#)).may_auto_reply(), "{from}");
        }
        assert_eq!(message(r#""subject":"x""#).no_reply_reason(), Some(NoReplyReason::NoSender));
    }
}
