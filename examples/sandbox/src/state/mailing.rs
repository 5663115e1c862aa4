//! Incoming mail.

use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use openmail_tower::testing::TestEvent;
use serde_json::{Value, json};

use crate::text;

use super::{
    data::Data,
    model::{Attachment, Direction, Mail, Thread, new_id},
    refusal::Refusal,
};

/// The size of all attachments together, in bytes, above which new files are refused. If a mail
/// goes to several inboxes or is sent again, the further copies of its files count but are never
/// refused.
const STORAGE: usize = 512 << 20;

/// A file attached to a mail.
pub(crate) struct File {
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

/// A mail on its way to one or more inboxes.
#[derive(Default)]
pub(crate) struct Incoming {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) cc: Vec<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) files: Vec<File>,
    /// Generated if it is `None`.
    pub(crate) rfc_message_id: Option<String>,
    pub(crate) in_reply_to: Option<String>,
    pub(crate) references: Vec<String>,
    pub(crate) category: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) auto_replyable: Option<bool>,
}

impl Data {
    /// Puts a mail into each inbox that it is addressed to. Returns the ids of the new mails.
    pub(crate) fn receive(&mut self, incoming: Incoming) -> Result<Vec<String>, Refusal> {
        let attachments = self.keep(incoming.files)?;
        let rfc_message_id =
            incoming.rfc_message_id.unwrap_or_else(|| format!("<{}@mail.example>", new_id("out")));
        let html = incoming.html.unwrap_or_else(|| text::to_html(&incoming.text));
        let mut ids = Vec::new();
        for inbox in self.inboxes().into_iter().cloned().collect::<Vec<_>>() {
            let is_inbox =
                |to: &String| text::bare_address(to).eq_ignore_ascii_case(&inbox.address);
            let addressed = incoming.to.iter().any(is_inbox);
            if !addressed && !incoming.cc.iter().any(is_inbox) {
                continue;
            }
            let known = incoming.references.iter().chain(&incoming.in_reply_to);
            let thread = self.thread_of(&inbox.id, known.map(String::as_str));
            let thread_id = match thread {
                Some(id) => id,
                None => self.begin_thread(&inbox.id, &incoming.subject),
            };
            // Each mail has its own copy of the attachments, so that deleting one mail leaves the
            // others intact. The copies share the bytes of the files in memory.
            let attachments =
                if ids.is_empty() { attachments.clone() } else { self.copy(&attachments) };
            let mail = Mail {
                id: new_id("msg"),
                inbox_id: inbox.id,
                thread_id: thread_id.clone(),
                direction: Direction::Inbound,
                from: incoming.from.clone(),
                to: incoming.to.clone(),
                cc: incoming.cc.clone(),
                reply_to: incoming.reply_to.clone(),
                copied: !addressed,
                subject: incoming.subject.clone(),
                text: incoming.text.clone(),
                html: html.clone(),
                attachments,
                rfc_message_id: rfc_message_id.clone(),
                in_reply_to: incoming.in_reply_to.clone(),
                references: incoming.references.clone(),
                category: incoming.category.clone(),
                verdict: incoming.verdict.clone(),
                auto_replyable: incoming.auto_replyable,
                created_at: Timestamp::now(),
            };
            self.edit(&thread_id, |thread: &mut Thread| {
                thread.is_read = false;
                thread.last_message_at = mail.created_at;
            });
            ids.push(mail.id.clone());
            self.put(mail);
        }
        if ids.is_empty() {
            for attachment in &attachments {
                self.remove_file(&attachment.file);
            }
        }
        Ok(ids)
    }

    /// Receives the same mail once more, as if its sender had pressed "send" twice: with the same
    /// `Message-ID`, but as another mail with its own event.
    pub(crate) fn receive_again(&mut self, id: &str) -> Result<String, Refusal> {
        let mail = self.mail(id)?.clone();
        if mail.direction == Direction::Outbound {
            return Err(Refusal::bad_request("Only a received mail can be sent again."));
        }
        let attachments = self.copy(&mail.attachments);
        let again = Mail { id: new_id("msg"), attachments, created_at: Timestamp::now(), ..mail };
        self.edit(&again.thread_id, |thread: &mut Thread| {
            thread.is_read = false;
            thread.last_message_at = again.created_at;
        });
        self.put(again.clone());
        Ok(again.id)
    }

    pub(crate) fn mail(&self, id: &str) -> Result<&Mail, Refusal> {
        self.mails.get(id).ok_or_else(|| Refusal::not_found("message"))
    }

    /// Stores the files, and extracts their text.
    pub(super) fn keep(&mut self, files: Vec<File>) -> Result<Vec<Attachment>, Refusal> {
        let kept: usize = self.files.values().map(Bytes::len).sum();
        let more: usize = files.iter().map(|file| file.bytes.len()).sum();
        if !files.is_empty() && kept.saturating_add(more) > STORAGE {
            let message = "These files would exceed the sandbox's 512 MiB for attachments; delete an \
                           inbox to make room.";
            return Err(Refusal::unprocessable("storage_limit_exceeded", message));
        }
        let attachments = files.into_iter().map(|file| {
            let found = text::of_file(&file);
            let attachment = Attachment {
                filename: file.filename,
                content_type: file.content_type,
                size: file.bytes.len(),
                file: new_id("file"),
                text: found.text,
                extraction_method: found.method.to_owned(),
            };
            self.put_file(attachment.file.clone(), file.bytes);
            attachment
        });
        Ok(attachments.collect())
    }

    fn copy(&mut self, attachments: &[Attachment]) -> Vec<Attachment> {
        let copies = attachments.iter().map(|attachment| {
            let bytes = self.file(&attachment.file).unwrap_or_default();
            let copy = Attachment { file: new_id("file"), ..attachment.clone() };
            self.put_file(copy.file.clone(), bytes);
            copy
        });
        copies.collect()
    }

    /// Returns the `message.received` event of a mail.
    pub(crate) fn received(&self, mail: &Mail, api_url: &str) -> TestEvent {
        let inbox = self.inboxes.get(&mail.inbox_id);
        let mut event = TestEvent::message_received()
            .inbox(&mail.inbox_id)
            .thread(&mail.thread_id)
            .message_id(&mail.id)
            .from(&mail.from)
            .subject(&mail.subject)
            .text(&mail.text)
            .message_field("rfc_message_id", &*mail.rfc_message_id)
            .message_field("to", inbox.map_or("", |inbox| &inbox.address))
            .message_field("cc", mail.cc.clone())
            .message_field("attachments", self.attachments_json(mail, api_url))
            .at(SystemTime::try_from(mail.created_at).unwrap_or_else(|_| SystemTime::now()));
        let optional = [
            ("category", mail.category.as_deref().map(Value::from)),
            ("verdict", mail.verdict.as_deref().map(Value::from)),
            ("auto_replyable", mail.auto_replyable.map(Value::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                event = event.message_field(name, value);
            }
        }
        event
    }

    pub(crate) fn attachments_json(&self, mail: &Mail, api_url: &str) -> Value {
        let attachments = mail.attachments.iter().enumerate().map(|(place, attachment)| {
            let mut json = json!({
                "filename": attachment.filename,
                "contentType": attachment.content_type,
                "sizeBytes": attachment.size,
                "url": text::attachment_url(api_url, mail, place),
                "extractionMethod": attachment.extraction_method,
            });
            if let Some(text) = &attachment.text {
                json["parsedText"] = json!(text);
            }
            json
        });
        attachments.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_storage_refuses_files_but_accepts_mail_without_files() {
        let file = |size| File {
            filename: "photo.png".into(),
            content_type: "image/png".into(),
            bytes: vec![0; size].into(),
        };
        let mut data = Data::default();
        let large = data.keep(vec![file(64 << 20)]).map_err(|it| it.message).expect("room");
        for _ in 0..8 {
            data.copy(&large);
        }
        assert!(data.keep(Vec::new()).is_ok(), "a mail without files is refused");
        let refused = data.keep(vec![file(1)]).map(|kept| kept.len()).map_err(|it| it.code);
        assert_eq!(refused, Err("storage_limit_exceeded"));
    }
}
