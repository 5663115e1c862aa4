//! One attempt to send a reply.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt;
use jiff::Timestamp;

use crate::{
    api::{ApiError, ApiErrorKind, Direction, Message, MessageStatus, OpenMail, Outgoing, Thread},
    event::single_address,
};

use super::{
    people::{Nobody, of_event, of_message},
    subject::answer_to,
    written::Written,
};

/// The age from which a reply's key might no longer prevent a second send. From then on, the thread
/// (the inbox if there is none) is searched for the reply before it is sent. OpenMail forgets keys
/// after 24 h.
const KEYS_LIVE: Duration = Duration::from_secs(23 * 60 * 60);
/// The number of attempts that fail if the mail to answer cannot be read. A later attempt may
/// succeed, since an event may arrive before OpenMail's API returns its mail. After these attempts,
/// the mail is answered without being read, unless the reply is older than [`KEYS_LIVE`].
const UNREADABLE: u32 = 3;
/// The maximum difference between clocks, in seconds: twice the default tolerance for timestamps.
const SKEW: i64 = 600;

/// The result of one attempt.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The reply was sent.
    Sent,
    /// The reply, or another one with its key, was sent before.
    SentBefore,
    /// The attempt failed and is used up. A later one may succeed.
    Retry(Failure),
    /// OpenMail does not accept the reply yet. This does not count as an attempt.
    Wait(Failure),
    /// OpenMail has suspended the inbox or its pod, or banned the account. Nothing is sent until
    /// that ends.
    Hold(Failure),
    /// The reply can never be sent.
    Failed(Failure),
}

impl Fate {
    /// Returns the result in one word, for logs and metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::SentBefore => "sent_before",
            Self::Retry(_) => "failed",
            Self::Wait(_) => "waiting",
            Self::Hold(_) => "held",
            Self::Failed(_) => "permanent",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("sending the reply failed")]
    Api(#[source] ApiError),
    #[error("the reply cannot be addressed")]
    Nobody(#[source] Nobody),
    #[error("the reply cannot be sent: OpenMail reports it as failed")]
    Reported,
    #[error("the mail that the reply answers cannot be read yet")]
    NotReadable,
    #[error("the reply cannot be sent: only a mail can be answered")]
    NoMail,
}

impl Failure {
    /// Returns whether nothing will be sent until a person changes the API key.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Api(error) if error.kind() == ApiErrorKind::Unauthorized)
    }
}

/// Attempts to send a reply. `tries` is the number of earlier attempts, as far as the caller can
/// tell. The first of them began at most `age` ago; `age` is zero if all attempts end long before
/// OpenMail forgets the key.
///
/// May be dropped at any `.await`: the next attempt has the same key.
pub(crate) async fn deliver(
    openmail: &OpenMail,
    key: &str,
    written: &Written,
    tries: u32,
    age: Duration,
) -> Fate {
    // A store's clock may stand still while its machine sleeps.
    let age = age.max(written.age());
    let thread = match read_thread(openmail, written, tries, age).await {
        Ok(thread) => thread,
        Err(fate) => return fate,
    };
    let mail =
        thread.as_ref().and_then(|it| it.messages.iter().find(|it| it.id == written.message));
    if let Some(thread) = &thread {
        if mail.is_none() && tries < UNREADABLE {
            return Fate::Retry(Failure::NotReadable);
        }
        if age >= KEYS_LIVE && is_answered(written, thread, mail) {
            return Fate::SentBefore;
        }
    }
    let people = match (&thread, mail) {
        (Some(thread), Some(mail)) => of_message(written, thread, mail),
        _ => of_event(written),
    };
    let people = match people {
        Ok(people) => people,
        Err(nobody) => return Fate::Failed(Failure::Nobody(nobody)),
    };
    if written.thread.is_none() && age >= KEYS_LIVE {
        match is_sent(openmail, written, &people.to).await {
            Ok(true) => return Fate::SentBefore,
            Ok(false) => {}
            Err(error) => return fate(error),
        }
    }
    let mut outgoing = Outgoing::to(people.to).text(written.body.clone());
    outgoing = match &written.thread {
        Some(thread) => outgoing.in_thread(thread.clone()),
        None => outgoing.subject(answer_to(written.subject.as_deref())),
    };
    outgoing = people.cc.into_iter().fold(outgoing, Outgoing::cc);
    outgoing = written.files().fold(outgoing, Outgoing::attach);
    if !written.quote {
        outgoing = outgoing.without_quote();
    }
    match openmail.send(&written.inbox, key, &outgoing).await {
        Ok(sent) if sent.status == Some(MessageStatus::Failed) => Fate::Failed(Failure::Reported),
        Ok(_) => Fate::Sent,
        Err(error) => fate(error),
    }
}

async fn read_thread(
    openmail: &OpenMail,
    written: &Written,
    tries: u32,
    age: Duration,
) -> Result<Option<Thread>, Fate> {
    use ApiErrorKind::{NotFound, UnexpectedAnswer};
    let Some(thread) = &written.thread else { return Ok(None) };
    match openmail.thread(thread).await {
        Ok(thread) => Ok(Some(thread)),
        Err(error) if error.kind() == NotFound && tries < UNREADABLE => {
            Err(Fate::Retry(Failure::NotReadable))
        }
        // A thread may also be too large to read.
        Err(error)
            if matches!(error.kind(), NotFound | UnexpectedAnswer)
                && tries >= UNREADABLE
                && age < KEYS_LIVE =>
        {
            Ok(None)
        }
        Err(error) => Err(fate(error)),
    }
}

/// Returns what an error of the API means for a reply.
fn fate(error: ApiError) -> Fate {
    use ApiErrorKind as Kind;
    match error.kind() {
        // The mail was answered before: by an earlier attempt, or by another run, whose reply has
        // the same key.
        Kind::KeyReused => Fate::SentBefore,
        Kind::RateLimited
        | Kind::ColdOutreachLimit
        | Kind::SpendCapPaused
        | Kind::StorageLimitExceeded
        | Kind::Unauthorized => Fate::Wait(Failure::Api(error)),
        Kind::AccountBanned | Kind::ReputationSuspended => Fate::Hold(Failure::Api(error)),
        Kind::Unavailable | Kind::TimedOut | Kind::UnexpectedAnswer => {
            Fate::Retry(Failure::Api(error))
        }
        _ => Fate::Failed(Failure::Api(error)),
    }
}

/// Returns whether a thread already has this reply: a mail with its text, sent after the answered
/// mail arrived and after the reply was written.
fn is_answered(written: &Written, thread: &Thread, mail: Option<&Message>) -> bool {
    let since = mail.and_then(|it| it.created_at).max(written_at(written));
    thread.messages.iter().any(|it| is_reply(written, it, since))
}

/// Returns whether the inbox has sent this reply to a mail that has no thread.
async fn is_sent(openmail: &OpenMail, written: &Written, to: &str) -> Result<bool, ApiError> {
    let since = written_at(written);
    let mut messages = pin!(openmail.messages(&written.inbox));
    while let Some(message) = messages.try_next().await? {
        // The newest message comes first.
        if message.created_at.is_some_and(|at| since.is_some_and(|since| at < since)) {
            break;
        }
        let recipient = message.to_addr.as_deref().and_then(single_address);
        let is_to = recipient.is_none_or(|it| single_address(to).is_none_or(|to| it == to));
        if is_to && is_reply(written, &message, since) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the earliest time at which OpenMail may have accepted the reply.
fn written_at(written: &Written) -> Option<Timestamp> {
    let at = i64::try_from(written.written_at).unwrap_or(i64::MAX).saturating_sub(SKEW);
    Timestamp::from_second(at).ok()
}

fn is_reply(written: &Written, message: &Message, since: Option<Timestamp>) -> bool {
    let is_sent = message.direction == Some(Direction::Outbound)
        && message.status != Some(MessageStatus::Failed);
    let is_later = message.created_at.is_none_or(|at| since.is_none_or(|since| at >= since));
    is_sent && is_later && has_text(message, &written.body)
}

/// Returns whether a mail contains a text. A mail whose own text is missing counts as containing
/// it.
fn has_text(mail: &Message, text: &str) -> bool {
    // Mail programs may change spaces and punctuation. A text may also consist of an emoji only.
    let keep = match text.contains(char::is_alphanumeric) {
        true => char::is_alphanumeric,
        false => |c: char| !c.is_whitespace(),
    };
    let ours: Vec<String> = readings(text, keep).collect();
    let theirs = [&mail.body_text, &mail.body_html].into_iter().flatten();
    let theirs: Vec<String> = theirs.flat_map(|text| readings(text, keep)).collect();
    theirs.is_empty() || theirs.iter().any(|it| ours.iter().any(|text| it.contains(&**text)))
}

/// Returns the two ways to read a text: as plain text, and as HTML without its tags and character
/// references. Each contains only the characters to `keep`, and is left out if it is empty.
fn readings(text: &str, keep: impl Fn(char) -> bool) -> impl Iterator<Item = String> {
    let mut closing = None;
    let outside = |c: &char| match (closing, *c) {
        (Some(end), c) => {
            closing = closing.filter(|_| c != end);
            false
        }
        (None, '<') => closing.replace('>').is_some(),
        (None, '&') => closing.replace(';').is_some(),
        (None, _) => true,
    };
    let visible: String = text.chars().filter(outside).filter(|c| keep(*c)).collect();
    let all: String = text.chars().filter(|c| keep(*c)).collect();
    [all, visible].into_iter().filter(|reading| !reading.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        handler::IntoOutcome,
        reply::{Reply, written::write},
        seam::{Outcome, VerifiedEvent},
    };

    fn written(replies: Vec<Reply>) -> Written {
        let event = r#"{"event":"message.received","event_id":"e","inbox_id":"i","thread_id":"t",
            "message":{"id":"m","from":"Ada <ada@b.c>"}}"#;
        let event = VerifiedEvent::parse(event.into(), std::time::UNIX_EPOCH).unwrap();
        let Ok(Outcome::Replies(replies)) = replies.into_outcome() else { panic!() };
        write(&event, &replies).unwrap().remove(0).written
    }

    fn answered(written: &Written, other: &Value) -> bool {
        let mail = json!({"id": "m", "direction": "inbound", "createdAt": "2026-01-02T00:00:00Z"});
        let thread: Thread =
            serde_json::from_value(json!({"threadId": "t", "data": [mail, other]})).unwrap();
        is_answered(written, &thread, thread.messages.first())
    }

    fn sent(at: &str, status: &str, text: &str) -> Value {
        json!({"id": "o", "direction": "outbound", "createdAt": at, "status": status,
            "bodyText": text})
    }

    #[test]
    fn later_outbound_message_with_its_text_is_the_reply() {
        let one = written(vec![Reply::text("Hello, Ada.")]);
        let (before, after) = ("2026-01-01T00:00:00Z", "2099-01-03T00:00:00Z");
        assert!(answered(&one, &sent(after, "sent", "Hello,\r\n Ada.\n\n> On Monday")));
        assert!(!answered(&one, &sent(before, "sent", "Hello, Ada.")));
        assert!(!answered(&one, &sent(after, "failed", "Hello, Ada.")));
        assert!(!answered(&one, &sent(after, "sent", "We have received your mail.")));
        // The reply to an earlier mail, sent while this one waited for its turn.
        let earlier = "2026-01-03T00:00:00Z";
        assert!(!answered(&one, &sent(earlier, "sent", "Hello, Ada.")));
        assert!(answered(&one, &json!({"id": "o", "direction": "outbound"})), "no text, no time");
    }

    #[test]
    fn reply_is_recognised_as_text_and_as_html() {
        let after = "2099-01-03T00:00:00Z";
        let html = written(vec![Reply::html("<p class=a>Tom &amp; Ada</p><br>Hello")]);
        assert!(answered(&html, &sent(after, "sent", "Tom & Ada\nHello\n")));
        let text = written(vec![Reply::text("1 < 2 & 3 > 2; yes")]);
        let sent_as_html = json!({"id": "o", "direction": "outbound",
            "bodyHtml": "<p>1 &lt; 2 &amp; 3 &gt; 2; <b>yes</b></p>"});
        assert!(answered(&text, &sent_as_html));
        let emoji = written(vec![Reply::text("👍")]);
        assert!(answered(&emoji, &sent(after, "sent", "👍\n> thanks?")));
        assert!(!answered(&emoji, &sent(after, "sent", "👎\n> thanks?")));
    }
}
