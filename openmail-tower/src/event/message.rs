//! `message.received`.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{MapAccess, value::MapAccessDeserializer},
};

use super::{
    glimpse::Glimpse,
    id::{EventId, InboxId, MessageId, ThreadId},
    lenient::Item,
    mailbox::Mailbox,
    payload::payload,
    words::words,
};

payload! {
    /// The arrival of a mail in an inbox.
    pub struct MessageReceived beside "event" {
        /// The event's id, the same in every attempt to deliver it.
        once event_id: Option<EventId> = "event_id",
        /// The inbox that received it.
        required inbox_id: InboxId = "inbox_id",
        /// The conversation it belongs to.
        optional thread_id: Option<ThreadId> = "thread_id",
        /// The mail.
        required message: Message = "message",
        /// When it happened. Events are delivered in no particular order; this sorts them.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// When this attempt to deliver it was made.
        optional delivered_at: Option<Timestamp> = "delivered_at",
        /// The number of this attempt to deliver it, from 1.
        optional attempt: Option<u32> = "attempt",
        /// Your own id for the owner of the inbox.
        optional external_id: Option<String> = "external_id",
    }
}

payload! {
    /// A mail.
    pub struct Message {
        /// OpenMail's id of the mail.
        required id: MessageId = "id",
        /// The sender as it was written, with or without a name; [`sender`](Self::sender) reads it.
        optional from: Option<String> = "from",
        /// The recipients as they were written; [`recipients`](Self::recipients) reads them.
        list to: Vec<String> = "to",
        /// The recipients of copies as they were written; [`copied`](Self::copied) reads them.
        list cc: Vec<String> = "cc",
        /// The subject.
        optional subject: Option<String> = "subject",
        /// The body as plain text.
        optional body_text: Option<String> = "body_text",
        /// The files that came with it.
        list attachments: Vec<Attachment> = "attachments",
        /// When OpenMail received it.
        optional received_at: Option<Timestamp> = "received_at",
        /// The `Message-ID` in the mail's own header.
        optional rfc_message_id: Option<String> = "rfc_message_id",
        /// The kind of mail that OpenMail takes it for.
        optional category: Option<Category> = "category",
        /// Whether OpenMail says that it may be answered automatically. Ask
        /// [`may_auto_reply`](Self::may_auto_reply), which considers the other fields as well.
        optional auto_replyable: Option<bool> = "auto_replyable",
        /// What OpenMail's filters say.
        optional verdict: Option<Verdict> = "verdict",
        /// How much it looks like spam.
        optional spam_score: Option<f64> = "spam_score",
    }
}

impl Message {
    /// Returns the sender's name and address: what stands at the end of `from`, as a rule in `<…>`.
    ///
    /// `None` where `from` is absent (bounces have none), holds several mailboxes or a group, or is
    /// not clear about which address counts: then trust nothing that depends on a sender. A `from`
    /// of more than 4 KiB is not read.
    pub fn sender(&self) -> Option<Mailbox> {
        Mailbox::single(self.from.as_deref()?)
    }

    /// Returns the names and addresses it was sent to: of the first 64 KiB of text, up to 1,000.
    pub fn recipients(&self) -> Vec<Mailbox> {
        Mailbox::all(&self.to)
    }

    /// Returns the names and addresses that got a copy: of the first 64 KiB of text, up to 1,000.
    pub fn copied(&self) -> Vec<Mailbox> {
        Mailbox::all(&self.cc)
    }
}

payload! {
    /// A file that came with a mail.
    ///
    /// Fetching `url` takes your API key, and redirects to a signed address that is valid for 15
    /// minutes. Send the key to OpenMail's API host only, never along with the redirect.
    pub struct Attachment {
        /// Its id, where OpenMail gives one.
        optional id: Option<String> = "id",
        /// Its name.
        optional filename: Option<String> = "filename",
        /// Its media type.
        optional content_type: Option<String> = "contentType" | "content_type",
        /// Its size in bytes.
        optional size: Option<u64> = "sizeBytes" | "size",
        /// Where to fetch it.
        optional url: Option<String> = "url",
        /// Its text, up to 50,000 characters.
        optional parsed_text: Option<String> = "parsedText" | "parsed_text",
        /// How its text was extracted, or why there is none.
        optional extraction_method: Option<ExtractionMethod> = "extractionMethod" | "extraction_method",
    }
}

impl Item for Attachment {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

words! {
    /// The kind of mail that OpenMail takes a mail for; parsed in any case.
    pub enum Category in any case {
        /// From a person.
        Personal = "personal",
        /// From a machine.
        Automated = "automated",
        /// Advertising.
        Marketing = "marketing",
        /// A mail that could not be delivered, returned to its sender.
        Bounce = "bounce",
        /// Spam.
        Spam = "spam",
        /// Phishing or malware.
        Malicious = "malicious",
    }
}

words! {
    /// What OpenMail's filters say of a mail; parsed in any case.
    pub enum Verdict in any case {
        /// Nothing against it.
        Clean = "clean",
        /// Spam.
        Spam = "spam",
        /// Phishing or malware.
        Malicious = "malicious",
    }
}

words! {
    /// How an attachment's text was extracted, or why there is none.
    pub enum ExtractionMethod in any case {
        /// The text layer of a PDF.
        Pdf = "pdf",
        /// Read from an image.
        Ocr = "ocr",
        /// An office document.
        Office = "office",
        /// A table.
        Csv = "csv",
        /// Plain text.
        Text = "text",
        /// None: a type OpenMail does not read.
        Unsupported = "unsupported",
        /// None: the PDF could not be read.
        PdfError = "pdf_error",
        /// None: too large.
        SkippedTooLarge = "skipped_too_large",
    }
}

impl Glimpse for Message {
    fn glimpse(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
