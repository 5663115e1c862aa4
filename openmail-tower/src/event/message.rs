//! `message.received`.

use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{MapAccess, value::MapAccessDeserializer},
};

use super::{
    id::{EventId, InboxId, MessageId, ThreadId},
    lenient::Item,
    mailbox::Mailbox,
    payload::payload,
    text::words,
};

payload! {
    /// A mail has arrived in an inbox.
    pub struct MessageReceived beside "event" {
        /// The same in every attempt to deliver this event.
        required event_id: EventId = "event_id",
        /// The inbox that received it.
        required inbox_id: InboxId = "inbox_id",
        /// The conversation it belongs to.
        optional thread_id: Option<ThreadId> = "thread_id",
        /// The mail.
        required message: Message = "message",
        /// When it happened; events are delivered in no particular order, this sorts them.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// When this attempt to deliver it was made.
        optional delivered_at: Option<Timestamp> = "delivered_at",
        /// Which attempt to deliver it this is, from 1.
        optional attempt: Option<u32> = "attempt",
        /// Your own id for whom the inbox belongs to.
        optional external_id: Option<String> = "external_id",
    }
}

payload! {
    /// A mail.
    pub struct Message {
        /// OpenMail's id of it.
        required id: MessageId = "id",
        /// The sender as it was written, with or without a name; [`sender`](Self::sender) takes it
        /// apart.
        required from: String = "from",
        /// The recipients as they were written; [`recipients`](Self::recipients) takes them apart.
        list to: Vec<String> = "to",
        /// Who got a copy, as it was written; [`copied`](Self::copied) takes it apart.
        list cc: Vec<String> = "cc",
        /// The subject.
        optional subject: Option<String> = "subject",
        /// The body as plain text.
        optional body_text: Option<String> = "body_text",
        /// Files that came with it.
        list attachments: Vec<Attachment> = "attachments",
        /// When OpenMail received it.
        optional received_at: Option<Timestamp> = "received_at",
        /// The `Message-ID` of the mail's own header.
        optional rfc_message_id: Option<String> = "rfc_message_id",
        /// What sort of mail OpenMail takes it for.
        optional category: Option<Category> = "category",
        /// Whether OpenMail says that it may be answered automatically;
        /// [`may_auto_reply`](Self::may_auto_reply) weighs it with the verdict.
        optional auto_replyable: Option<bool> = "auto_replyable",
        /// What OpenMail's filters say.
        optional verdict: Option<Verdict> = "verdict",
        /// How much it looks like spam.
        optional spam_score: Option<f64> = "spam_score",
    }
}

impl Message {
    /// The sender's name and address.
    pub fn sender(&self) -> Mailbox {
        Mailbox::first(&self.from)
    }

    /// The names and addresses it was sent to.
    pub fn recipients(&self) -> Vec<Mailbox> {
        self.to.iter().flat_map(|text| Mailbox::all(text)).collect()
    }

    /// The names and addresses that got a copy.
    pub fn copied(&self) -> Vec<Mailbox> {
        self.cc.iter().flat_map(|text| Mailbox::all(text)).collect()
    }

    /// Whether an agent may be shown this mail at all: neither the verdict nor the category calls it
    /// spam or malicious. OpenMail's own clients never hand such mail to an agent.
    ///
    /// A verdict or category that is no text, and so is in `extra`, may say so: then this is false.
    pub fn is_trustworthy(&self) -> bool {
        !self.is_odd("verdict")
            && !self.is_odd("category")
            && !matches!(self.verdict, Some(Verdict::Spam | Verdict::Malicious))
            && !matches!(self.category, Some(Category::Spam | Category::Malicious))
    }

    /// Whether it may be answered without a person's doing: OpenMail does not say otherwise, it is
    /// trustworthy, and it is no bounce. Most mail is not personal, and two agents that answer each
    /// other never stop.
    ///
    /// An `auto_replyable` in `extra`, since it is neither true nor false, counts as false.
    pub fn may_auto_reply(&self) -> bool {
        self.auto_replyable != Some(false)
            && !self.is_odd("auto_replyable")
            && self.category != Some(Category::Bounce)
            && self.is_trustworthy()
    }

    /// Whether a field came in a form that is not understood.
    fn is_odd(&self, field: &str) -> bool {
        self.extra.get(field).is_some_and(|value| !value.is_null())
    }
}

payload! {
    /// A file that came with a mail.
    ///
    /// Fetch it promptly: `url` needs your API key and redirects to a signed address that lives for
    /// 15 minutes. Send the key to OpenMail's API host only, and not along with the redirect.
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
        /// How its text was found, or why there is none.
        optional extraction_method: Option<ExtractionMethod> = "extractionMethod" | "extraction_method",
    }
}

impl Item for Attachment {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

words! {
    /// What sort of mail OpenMail takes it for.
    pub enum Category {
        /// From a person.
        Personal = "personal",
        /// From a machine.
        Automated = "automated",
        /// Advertising.
        Marketing = "marketing",
        /// A mail of ours came back.
        Bounce = "bounce",
        /// Spam.
        Spam = "spam",
        /// Phishing or malware.
        Malicious = "malicious",
    }
}

words! {
    /// What OpenMail's filters say of a mail.
    pub enum Verdict {
        /// Nothing against it.
        Clean = "clean",
        /// Spam.
        Spam = "spam",
        /// Phishing or malware.
        Malicious = "malicious",
    }
}

words! {
    /// How an attachment's text was found, or why there is none.
    pub enum ExtractionMethod {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_no_yes() {
        for (field, trustworthy, may_auto_reply) in [
            (r#""auto_replyable":"no""#, true, false),
            (r#""auto_replyable":0"#, true, false),
            (r#""verdict":["spam"]"#, false, false),
            (r#""verdict":{"is":"malicious"}"#, false, false),
            (r#""category":7"#, false, false),
            (r#""auto_replyable":null,"verdict":null,"category":null"#, true, true),
            (r#""verdict":"news","category":"news""#, true, true),
        ] {
            let json = format!(r#"{{"id":"m","from":"f",{field}}}"#);
            let mail: Message = serde_json::from_str(&json).unwrap();
            let says = (mail.is_trustworthy(), mail.may_auto_reply());
            assert_eq!(says, (trustworthy, may_auto_reply), "{field}");
        }
    }
}
