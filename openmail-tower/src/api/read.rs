//! Threads, and the text of attachments.

use http::{HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use serde::de::IgnoredAny;

use crate::event::{MessageId, ThreadId};

use super::{
    client::OpenMail,
    error::ApiError,
    records::{AttachmentText, Thread},
};

/// Maximum size of a thread, in bytes. All its messages come in one response.
const THREAD: usize = 32 * 1024 * 1024;
/// Maximum size of a response with an attachment's text, in bytes.
const TEXT: usize = 4 * 1024 * 1024;
const ANSWER: usize = 64 * 1024;

impl OpenMail {
    /// Reads a thread with all its messages.
    ///
    /// # Errors
    /// If there is no such thread, if OpenMail refuses the request, if the API cannot be reached,
    /// or if the response is larger than 32 MiB
    /// ([`UnexpectedAnswer`](super::ApiErrorKind::UnexpectedAnswer)).
    pub async fn thread(&self, thread: &ThreadId) -> Result<Thread, ApiError> {
        let url = self.url(&["v1", "threads", thread.as_str(), "messages"])?;
        self.json(Request::default(), &url, THREAD).await
    }

    /// Marks a thread as read. Sending a reply does so, too.
    ///
    /// # Errors
    /// If there is no such thread, if OpenMail refuses the request, or if the API cannot be
    /// reached.
    pub async fn mark_read(&self, thread: &ThreadId) -> Result<(), ApiError> {
        self.mark(thread, r#"{"is_read":true}"#).await
    }

    /// Marks a thread as unread.
    ///
    /// # Errors
    /// As for [`mark_read`](Self::mark_read).
    pub async fn mark_unread(&self, thread: &ThreadId) -> Result<(), ApiError> {
        self.mark(thread, r#"{"is_read":false}"#).await
    }

    async fn mark(&self, thread: &ThreadId, body: &'static str) -> Result<(), ApiError> {
        let url = self.url(&["v1", "threads", thread.as_str()])?;
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::PATCH;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.json::<IgnoredAny>(request, &url, ANSWER).await.map(drop)
    }

    /// Reads the text of an attachment, up to 50,000 characters. OpenMail extracts it from text
    /// files, PDF files, office files and tables, and from images by OCR.
    ///
    /// [`message.received`](crate::MessageReceived) events often contain this text already, in
    /// [`parsed_text`](crate::event::Attachment::parsed_text).
    ///
    /// # Errors
    /// If there is no such attachment ([`NotFound`](super::ApiErrorKind::NotFound)), if OpenMail
    /// finds no text in it ([`Rejected`](super::ApiErrorKind::Rejected)) or refuses the request, or
    /// if the API cannot be reached.
    pub async fn attachment_text(
        &self,
        message: &MessageId,
        filename: &str,
    ) -> Result<AttachmentText, ApiError> {
        let url = self.url(&["v1", "attachments", message.as_str(), filename, "text"])?;
        self.json(Request::default(), &url, TEXT).await
    }
}
