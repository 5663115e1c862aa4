//! `message.received`.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{MapAccess, value::MapAccessDeserializer},
};

#[cfg(any(feature = "api", feature = "guard"))]
use super::mailbox::{addresses, may_contain};
use super::{
    address::Address,
    glimpse::Glimpse,
    id::{EventId, InboxId, MessageId, ThreadId},
    lenient::Item,
    mailbox::{Mailbox, single_address},
    payload::payload,
    words::words,
};

payload! {
    /// The arrival of a mail in an inbox.
    pub struct MessageReceived except "event" {
        /// The event's id, the same in every attempt to deliver it.
        once event_id: Option<EventId> = "event_id",
        /// The inbox that received the mail.
        required inbox_id: InboxId = "inbox_id",
        /// The conversation that the mail belongs to.
        optional thread_id: Option<ThreadId> = "thread_id",
        /// The mail.
        required message: Message = "message",
        /// When it happened. Events arrive in no particular order; sort by this.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// When this delivery attempt was made.
        optional delivered_at: Option<Timestamp> = "delivered_at",
        /// The number of this delivery attempt, from 1.
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
        /// The sender as written, with or without a name; [`sender`](Self::sender) parses it.
        optional from: Option<String> = "from",
        /// The recipients as written; [`recipients`](Self::recipients) parses them.
        list to: Vec<String> = "to",
        /// The Cc recipients as written; [`copied`](Self::copied) parses them.
        list cc: Vec<String> = "cc",
        /// The subject.
        optional subject: Option<String> = "subject",
        /// The body as plain text.
        optional body_text: Option<String> = "body_text",
        /// The attached files.
        list attachments: Vec<Attachment> = "attachments",
        /// When OpenMail received it.
        optional received_at: Option<Timestamp> = "received_at",
        /// The `Message-ID` in the mail's own header.
        optional rfc_message_id: Option<String> = "rfc_message_id",
        /// The kind of mail, as classified by OpenMail.
        optional category: Option<Category> = "category",
        /// Whether OpenMail considers it suitable for an automatic answer. Prefer
        /// [`may_auto_reply`](Self::may_auto_reply), which takes the other fields into account as
        /// well.
        optional auto_replyable: Option<bool> = "auto_replyable",
        /// The verdict of OpenMail's filters.
        optional verdict: Option<Verdict> = "verdict",
        /// OpenMail's spam score: higher means more like spam.
        optional spam_score: Option<f64> = "spam_score",
    }
}

impl Message {
    /// Returns the sender's name and address: the address at the end of `from`, usually in `<…>`.
    ///
    /// `None` if `from` is absent (as in bounces), holds several mailboxes or a group, or leaves it
    /// unclear which address counts. Then trust nothing that depends on a sender. A `from` longer
    /// than 4 KiB is not read.
    pub fn sender(&self) -> Option<Mailbox> {
        Mailbox::single(self.from.as_deref()?)
    }

    /// Returns the address of the [`sender`](Self::sender).
    pub(crate) fn sender_address(&self) -> Option<Address> {
        single_address(self.from.as_deref()?)
    }

    /// Returns whether the sender's address is the only one in `to`. The only address in `to` is
    /// taken to be the inbox's own.
    #[cfg(any(feature = "api", feature = "guard"))]
    pub(crate) fn is_sent_to(&self, sender: &Address) -> bool {
        let to = || self.to.iter().map(String::as_str);
        to().any(|text| may_contain(text, sender))
            && matches!(&*addresses(to()), [only] if only == sender)
    }

    /// Returns the names and addresses of the recipients. Only the first 64 KiB of text and the
    /// first 1,000 mailboxes are read.
    pub fn recipients(&self) -> Vec<Mailbox> {
        Mailbox::all(&self.to)
    }

    /// Returns the names and addresses of the Cc recipients. Only the first 64 KiB of text and the
    /// first 1,000 mailboxes are read.
    pub fn copied(&self) -> Vec<Mailbox> {
        Mailbox::all(&self.cc)
    }
}

payload! {
    /// A file attached to a mail.
    ///
    /// Fetching `url` requires your API key, and redirects to a signed URL that is valid for 15
    /// min. Send the key to OpenMail's API host only, never to the host it redirects to.
    pub struct Attachment {
        /// Its id, if OpenMail gives one.
        optional id: Option<String> = "id",
        /// Its name.
        optional filename: Option<String> = "filename",
        /// Its media type.
        optional content_type: Option<String> = "contentType" | "content_type",
        /// Its size in bytes.
        optional size: Option<u64> = "sizeBytes" | "size",
        /// Where to fetch it.
        optional url: Option<String> = "url",
        /// Its text, at most 50,000 characters.
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
    /// The kind of mail, as classified by OpenMail; parsed without regard to case.
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
    /// The verdict of OpenMail's filters on a mail; parsed without regard to case.
    pub enum Verdict in any case {
        /// Nothing was found.
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
        /// No text: OpenMail does not read this type.
        Unsupported = "unsupported",
        /// No text: the PDF could not be read.
        PdfError = "pdf_error",
        /// No text: the file is too large.
        SkippedTooLarge = "skipped_too_large",
    }
}

impl Glimpse for Message {
    fn glimpse(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
