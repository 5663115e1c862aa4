//! [`Written`]: a reply, as it is stored until it is sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
#[cfg(any(test, feature = "queue"))]
use bytes::{Buf, BufMut, BytesMut};
use serde::{Deserialize, Serialize};

use crate::{
    api::File,
    event::{InboxId, MessageId, ThreadId},
    seam::{Replies, VerifiedEvent},
};

use super::{
    builder::{Reply, replies},
    key::{Which, key},
};

/// A reply to be sent.
///
/// What is sent depends only on this and on OpenMail's record of the thread. So the bytes are the
/// same at every attempt, unless that record changes or cannot always be read. If they differ from
/// those that OpenMail has accepted, it refuses the key, and the reply counts as sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// The version of this format.
    version: u32,
    pub(super) inbox: InboxId,
    pub(super) thread: Option<ThreadId>,
    pub(super) message: MessageId,
    /// The signed sender, if it is a single address.
    pub(super) sender: Option<String>,
    /// Whether the sender is the only address in `to`, which is taken to be the inbox's own.
    #[serde(default)]
    pub(super) is_own: bool,
    pub(super) subject: Option<String>,
    pub(super) body: String,
    pub(super) to_all: bool,
    pub(super) quote: bool,
    /// When the handler returned the reply, in Unix seconds.
    pub(super) written_at: u64,
    files: Vec<FileHead>,
    #[serde(skip)]
    contents: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileHead {
    name: String,
    content_type: String,
    size: usize,
}

/// A reply, its key, and its name for display.
pub(crate) struct Keyed {
    pub(crate) key: String,
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "for the queue"))]
    pub(crate) name: String,
    pub(crate) written: Written,
}

const VERSION: u32 = 1;

/// Converts the replies that answer an event. Returns `None` if the event is not a mail, since
/// there is nobody to answer.
pub(crate) fn write(event: &VerifiedEvent, outcome: &Replies) -> Option<Vec<Keyed>> {
    let mail = event.event().message_received()?;
    let all = replies(outcome);
    let sender = mail.message.sender_address();
    let is_own = sender.as_ref().is_some_and(|sender| mail.message.is_sent_to(sender));
    let mut unnamed = 0;
    let keyed = |reply: &Reply| {
        let which = match &reply.name {
            Some(name) => Which::Named(name),
            None => {
                unnamed += 1;
                Which::Nth(unnamed - 1)
            }
        };
        Keyed {
            key: key(mail.inbox_id.as_str(), mail.message.id.as_str(), which),
            name: reply.name.clone().unwrap_or_else(|| "reply".to_owned()),
            written: Written {
                version: VERSION,
                inbox: mail.inbox_id.clone(),
                thread: mail.thread_id.clone(),
                message: mail.message.id.clone(),
                sender: sender.as_ref().map(ToString::to_string),
                is_own,
                subject: mail.message.subject.clone(),
                body: reply.body.clone(),
                to_all: reply.to_all,
                quote: reply.quote,
                written_at: seconds(SystemTime::now()),
                files: reply.files.iter().map(FileHead::of).collect(),
                contents: reply.files.iter().map(|file| file.bytes.clone()).collect(),
            },
        }
    };
    Some(all.iter().map(keyed).collect())
}

impl FileHead {
    fn of(file: &File) -> Self {
        let (name, content_type) = (file.name.clone(), file.content_type.clone());
        Self { name, content_type, size: file.bytes.len() }
    }
}

impl Written {
    /// Returns the id of the answered mail.
    #[cfg(feature = "queue")]
    pub(crate) fn message(&self) -> &MessageId {
        &self.message
    }

    /// Returns how long ago the handler returned the reply, by this machine's clock.
    pub(super) fn age(&self) -> Duration {
        Duration::from_secs(seconds(SystemTime::now()).saturating_sub(self.written_at))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = File> {
        self.files.iter().zip(&self.contents).map(|(head, bytes)| {
            File::new(head.name.clone(), bytes.clone()).content_type(head.content_type.clone())
        })
    }

    /// Encodes the reply: the length of the JSON, the fields as JSON, then the files one after
    /// another.
    #[cfg(any(test, feature = "queue"))]
    pub(crate) fn to_bytes(&self) -> Bytes {
        let head = serde_json::to_vec(self).expect("texts and numbers");
        let size: usize = self.contents.iter().map(Bytes::len).sum();
        let mut bytes = BytesMut::with_capacity(8 + head.len() + size);
        bytes.put_u64(head.len() as u64);
        bytes.put_slice(&head);
        self.contents.iter().for_each(|content| bytes.put_slice(content));
        bytes.freeze()
    }

    /// Decodes the output of [`to_bytes`](Self::to_bytes). Returns `None` for anything else.
    #[cfg(any(test, feature = "queue"))]
    pub(crate) fn from_bytes(mut bytes: Bytes) -> Option<Self> {
        let length = usize::try_from(bytes.try_get_u64().ok()?).ok()?;
        if length > bytes.len() {
            return None;
        }
        let head = bytes.split_to(length);
        let mut written: Self = serde_json::from_slice(&head).ok()?;
        for file in &written.files {
            if file.size > bytes.len() {
                return None;
            }
            written.contents.push(bytes.split_to(file.size));
        }
        (written.version == VERSION && bytes.is_empty()).then_some(written)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handler::IntoOutcome, seam::Outcome};

    fn written(event: &str, replies: Vec<Reply>) -> Option<Vec<Keyed>> {
        let event = VerifiedEvent::parse(event.to_owned().into(), UNIX_EPOCH).unwrap();
        let Ok(Outcome::Replies(replies)) = replies.into_outcome() else { panic!() };
        write(&event, &replies)
    }

    const MAIL: &str = r#"{"event":"message.received","event_id":"e","inbox_id":"i",
        "thread_id":"t","message":{"id":"m","from":"Ada <a@b.c>","subject":"s"}}"#;

    #[test]
    fn stored_reply_is_read_back_unchanged() {
        let file = || File::new("a.bin", vec![0, 1, 2]).content_type("x/y");
        let reply = Reply::text("t").attach(file()).attach(File::new("b", "")).to_all();
        let [keyed] = &written(MAIL, vec![reply]).unwrap()[..] else { panic!() };
        let bytes = keyed.written.to_bytes();
        let read = Written::from_bytes(bytes.clone()).unwrap();
        assert!(read == keyed.written);
        assert!(read.files().next() == Some(file()));
        assert_eq!(read.sender.as_deref(), Some("a@b.c"));
        for cut in 0..bytes.len() {
            assert!(Written::from_bytes(bytes.slice(..cut)).is_none(), "{cut}");
        }
        assert!(Written::from_bytes(Bytes::from_static(&[255; 16])).is_none());
    }

    #[test]
    fn key_depends_on_the_mail_and_on_the_replys_name_or_position() {
        let keys = |mail, replies| -> Vec<String> {
            written(mail, replies).unwrap().into_iter().map(|it| it.key).collect()
        };
        let two = || vec![Reply::text("a"), Reply::text("b").named("b"), Reply::text("c")];
        let first = keys(MAIL, two());
        assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3);
        let again = MAIL.replace("\"e\"", "\"another\"").replace("\"t\"", "\"another\"");
        assert_eq!(first, keys(&again, two()));
        assert_eq!(first[..1], keys(MAIL, vec![Reply::text("x")]));
        assert_ne!(first, keys(&MAIL.replace("\"i\"", "\"j\""), two()));
        assert!(written(r#"{"event":"x"}"#, two()).is_none());
    }
}
