//! Outgoing mail.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::text;

use super::{
    data::Data,
    mailing::{File, Incoming},
    model::{Answer, Direction, Inbox, Mail, Thread, new_id},
    refusal::Refusal,
};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const PER_MINUTE: usize = 10;
const PER_DAY: usize = 200;

/// A mail that a program wants to send.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) to: String,
    pub(crate) cc: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) body: String,
    pub(crate) body_html: Option<String>,
    pub(crate) thread_id: Option<String>,
    pub(crate) include_quote: bool,
    pub(crate) reply_to: Option<String>,
    pub(crate) files: Vec<File>,
}

impl Draft {
    /// Returns a hash that distinguishes different mails with the same `Idempotency-Key`.
    fn fingerprint(&self, inbox: &str) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // The length keeps two fields from running together.
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
        };
        let quote = if self.include_quote { "quote" } else { "" };
        let optional = [&self.subject, &self.body_html, &self.thread_id, &self.reply_to];
        for text in [inbox, &self.to, &self.body, quote] {
            part(text.as_bytes());
        }
        for text in optional {
            part(&[u8::from(text.is_some())]);
            part(text.as_deref().unwrap_or_default().as_bytes());
        }
        for address in &self.cc {
            part(address.as_bytes());
        }
        for file in &self.files {
            part(file.filename.as_bytes());
            part(file.content_type.as_bytes());
            part(&file.bytes);
        }
        hex::encode(hash.finalize())
    }

    fn check(&self) -> Result<(), Refusal> {
        if !text::is_address(&self.to) {
            return Err(Refusal::bad_request("\"to\" must be one address, without a name."));
        }
        if self.cc.iter().any(|address| !text::is_address(address)) {
            return Err(Refusal::bad_request("\"cc\" must be a list of addresses."));
        }
        if self.reply_to.as_deref().is_some_and(|address| !text::is_address(address)) {
            return Err(Refusal::bad_request("\"replyTo\" must be one address."));
        }
        let length = |name: &str, text: &str, most: usize| match text.chars().count() {
            0 => Err(Refusal::bad_request(format!("\"{name}\" is empty."))),
            length if length > most => {
                let message = format!("\"{name}\" has more than {most} characters.");
                Err(Refusal::bad_request(message))
            }
            _ => Ok(()),
        };
        length("body", &self.body, 100_000)?;
        match (&self.subject, &self.thread_id) {
            (Some(subject), _) => length("subject", subject, 998)?,
            (None, Some(_)) => {}
            (None, None) => {
                return Err(Refusal::bad_request("A new thread needs a \"subject\"."));
            }
        }
        match &self.body_html {
            Some(html) if html.chars().count() > 500_000 => {
                Err(Refusal::bad_request("\"bodyHtml\" has more than 500000 characters."))
            }
            _ => Ok(()),
        }
    }
}

/// A mail that was sent, and its copies in other inboxes of the sandbox.
pub(crate) struct Sent {
    pub(crate) answer: Answer,
    pub(crate) arrived: Vec<String>,
}

impl Data {
    /// Sends a mail, or returns the earlier response if it was already sent with this key.
    pub(crate) fn send(
        &mut self,
        inbox: &str,
        key: Option<&str>,
        draft: Draft,
    ) -> Result<Sent, Refusal> {
        let inbox = self.inbox(inbox)?.clone();
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| {
            let message = "A request to send needs the header Idempotency-Key.";
            Refusal::new(StatusCode::BAD_REQUEST, "missing_idempotency_key", message)
        })?;
        draft.check()?;
        let now = Timestamp::now();
        self.forget_answers(now);
        let fingerprint = draft.fingerprint(&inbox.id);
        if let Some(answer) = self.answers.get(key) {
            if answer.fingerprint != fingerprint {
                let message = "This Idempotency-Key was used with another body.";
                return Err(Refusal::unprocessable("idempotency_key_reused", message));
            }
            return Ok(Sent { answer: answer.clone(), arrived: Vec::new() });
        }
        self.may_send(&inbox, &draft, now)?;
        let (mail, arrived) = self.write_and_post(&inbox, draft, now)?;
        let answer = Answer {
            key: key.to_owned(),
            fingerprint,
            mail_id: mail.id,
            thread_id: mail.thread_id,
            rfc_message_id: mail.rfc_message_id,
            at: now,
        };
        self.put(answer.clone());
        Ok(Sent { answer, arrived })
    }

    fn may_send(&self, inbox: &Inbox, draft: &Draft, now: Timestamp) -> Result<(), Refusal> {
        let pod = self.pods.get(&inbox.pod_id);
        if inbox.suspended.is_some() || pod.is_some_and(|pod| pod.suspended.is_some()) {
            let message = "Sending is suspended.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "reputation_suspended", message));
        }
        if let Some(thread) = &draft.thread_id
            && self.threads.get(thread).is_none_or(|thread| thread.inbox_id != inbox.id)
        {
            return Err(Refusal::not_found("thread"));
        }
        if !self.faults.send_limits {
            return Ok(());
        }
        for (limit, within, per) in [(PER_DAY, DAY, "day"), (PER_MINUTE, MINUTE, "minute")] {
            let mut sent: Vec<_> = self
                .mails
                .values()
                .filter(|mail| {
                    mail.inbox_id == inbox.id
                        && mail.direction == Direction::Outbound
                        && now.duration_since(mail.created_at) < within
                })
                .map(|mail| mail.created_at)
                .collect();
            if sent.len() >= limit {
                sent.sort_unstable();
                // There is room for another mail once this one is out of the window.
                let oldest = sent[sent.len() - limit];
                let wait = (within - now.duration_since(oldest)).as_secs() + 1;
                return Err(Refusal::rate_limit(limit, per, wait));
            }
        }
        Ok(())
    }

    /// Stores the mail, and delivers it to those of its recipients that are inboxes of the sandbox.
    fn write_and_post(
        &mut self,
        inbox: &Inbox,
        draft: Draft,
        now: Timestamp,
    ) -> Result<(Mail, Vec<String>), Refusal> {
        let last = draft.thread_id.as_deref().and_then(|thread| self.thread_mails(thread).pop());
        let last = last.cloned();
        let subject = match draft.thread_id.as_ref().and_then(|id| self.threads.get(id)) {
            Some(thread) => text::reply_subject(&thread.subject),
            None => draft.subject.clone().unwrap_or_default(),
        };
        let mut cc = draft.cc;
        // A reply to a mail that the inbox got only as `Cc` also goes to that mail's sender.
        if let Some(copied) = last.as_ref().filter(|mail| mail.copied) {
            let sender = text::bare_address(&copied.from);
            let known = cc.iter().chain([&draft.to]).any(|it| it.eq_ignore_ascii_case(sender));
            if !known && text::is_address(sender) {
                cc.push(sender.to_owned());
            }
        }
        let quoted = last.as_ref().filter(|_| draft.include_quote);
        let (text, html) = text::bodies(&draft.body, draft.body_html.as_deref(), quoted);
        let mut references = last.as_ref().map(|mail| mail.references.clone()).unwrap_or_default();
        references.extend(last.as_ref().map(|mail| mail.rfc_message_id.clone()));
        let (_, domain) = inbox.address.rsplit_once('@').unwrap_or(("", "sandbox.test"));
        let from = match &inbox.display_name {
            Some(name) => format!("{name} <{}>", inbox.address),
            None => inbox.address.clone(),
        };
        let copies = |files: &[File]| {
            let copy = |file: &File| File {
                filename: file.filename.clone(),
                content_type: file.content_type.clone(),
                bytes: file.bytes.clone(),
            };
            files.iter().map(copy).collect::<Vec<_>>()
        };
        let attachments = self.keep(copies(&draft.files))?;
        let thread_id = match draft.thread_id {
            Some(thread) => thread,
            None => self.begin_thread(&inbox.id, &subject),
        };
        let mail = Mail {
            id: new_id("msg"),
            inbox_id: inbox.id.clone(),
            thread_id,
            direction: Direction::Outbound,
            from,
            to: vec![draft.to],
            cc,
            reply_to: draft.reply_to,
            copied: false,
            subject,
            text,
            html,
            attachments,
            rfc_message_id: format!("<{}@{domain}>", new_id("mail")),
            in_reply_to: last.map(|mail| mail.rfc_message_id),
            references,
            category: None,
            verdict: None,
            auto_replyable: None,
            created_at: now,
        };
        self.edit(&mail.thread_id, |thread: &mut Thread| {
            thread.is_read = true;
            thread.last_message_at = now;
        });
        self.put(mail.clone());
        let arrived = Incoming {
            from: mail.from.clone(),
            to: mail.to.clone(),
            cc: mail.cc.clone(),
            reply_to: mail.reply_to.clone(),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: Some(mail.html.clone()),
            files: draft.files,
            rfc_message_id: Some(mail.rfc_message_id.clone()),
            in_reply_to: mail.in_reply_to.clone(),
            references: mail.references.clone(),
            ..Incoming::default()
        };
        // The mail counts as sent even if the sandbox has no room for its recipients' copies.
        let arrived = self.receive(arrived).unwrap_or_default();
        Ok((mail, arrived))
    }

    fn forget_answers(&mut self, now: Timestamp) {
        let old = self.answers.values().filter(|answer| now.duration_since(answer.at) >= DAY);
        for key in old.map(|answer| answer.key.clone()).collect::<Vec<_>>() {
            self.remove::<Answer>(&key);
        }
    }
}
