//! [`Download`]: downloads an attachment.

use std::{collections::HashSet, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header::LOCATION};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    event::{Attachment, MessageId, MessageReceived, ThreadId},
    seam::BoxError,
};

use super::{
    client::{Named, OpenMail, refused},
    error::{ApiError, ApiErrorKind},
    guarded::Untrusted,
    http::{deadline, unreachable},
    records::Message,
    redirect::{Place, judge},
};

const LARGEST: u64 = 25 * 1024 * 1024;
const REDIRECTS: usize = 5;

/// The message that an attachment belongs to. Converts from a [`MessageReceived`] or a [`Message`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRef {
    /// The id of the message's thread, if known.
    pub thread: Option<ThreadId>,
    /// The id of the message.
    pub message: MessageId,
}

impl From<&MessageReceived> for MessageRef {
    fn from(mail: &MessageReceived) -> Self {
        Self { thread: mail.thread_id.clone(), message: mail.message.id.clone() }
    }
}

impl From<&Message> for MessageRef {
    fn from(message: &Message) -> Self {
        Self { thread: message.thread_id.clone(), message: message.id.clone() }
    }
}

impl OpenMail {
    /// Prepares the download of an attachment. Start it with [`bytes`](Download::bytes),
    /// [`copy_to`](Download::copy_to) or [`save_in`](Download::save_in).
    ///
    /// The download follows the attachment's URL and up to 5 redirects. The API key is sent to the
    /// API's host only, and is not sent again after another host has redirected. A URL that is not
    /// the API's must be `https` and lead to a public address. If the API is on this machine, any
    /// other URL on this machine is also allowed.
    ///
    /// ```no_run
    /// use openmail_tower::{MessageReceived, api::{ApiError, OpenMail}};
    ///
    /// # async fn example(openmail: OpenMail, mail: &MessageReceived) -> Result<(), ApiError> {
    /// for attachment in &mail.message.attachments {
    ///     let path = openmail.download(attachment).of(mail).save_in("attachments").await?;
    ///     println!("saved as {}", path.display());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn download(&self, attachment: &Attachment) -> Download {
        Download {
            openmail: self.clone(),
            attachment: attachment.clone(),
            message: None,
            max_size: None,
            timeout: Duration::from_secs(5 * 60),
            stall: Duration::from_secs(30),
        }
    }
}

/// The download of an attachment.
#[must_use = "a download does nothing until `bytes`, `copy_to` or `save_in` is called"]
#[derive(Clone)]
pub struct Download {
    openmail: OpenMail,
    pub(super) attachment: Attachment,
    message: Option<MessageRef>,
    max_size: Option<u64>,
    timeout: Duration,
    stall: Duration,
}

impl Download {
    /// Sets the message that the attachment belongs to. If the message's thread is known, a URL
    /// that has expired or is missing is then renewed once by reading the message again. Default:
    /// none.
    pub fn of(mut self, message: impl Into<MessageRef>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the maximum size in bytes. Default: the size that the attachment states, but at most 25
    /// MiB; 25 MiB if it states none.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Sets the maximum time for the whole download. Default: 5 min.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum time without receiving a byte. Default: 30 s.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall = timeout;
        self
    }

    /// Downloads the attachment into memory.
    ///
    /// # Errors
    /// If the URL has expired or leads to a forbidden address, if the file is too large, if the
    /// download stalls, or as for any request; see [`ApiErrorKind`].
    pub async fn bytes(self) -> Result<Bytes, ApiError> {
        let mut body = self.open().await?;
        let mut all = BytesMut::new();
        while let Some(data) = body.next().await? {
            if all.is_empty() && body.is_over() {
                return Ok(data);
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    /// Downloads the attachment into a writer, flushes it, and returns the number of bytes.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes), and [`Disk`](ApiErrorKind::Disk) if the writer fails. After
    /// an error, part of the file may have been written.
    pub async fn copy_to<W: AsyncWrite + Unpin>(self, writer: &mut W) -> Result<u64, ApiError> {
        let mut body = self.open().await?;
        body.copy_to(writer).await
    }

    /// Follows the URL until the file itself is found.
    pub(super) async fn open(&self) -> Result<Incoming, ApiError> {
        let until = deadline(self.timeout);
        let old = match &self.attachment.url {
            Some(url) => url.clone(),
            None => return self.follow(&self.renewed(until).await?, until).await,
        };
        match self.follow(&old, until).await {
            // Signed URLs expire after 15 minutes. Hosts answer expired ones with various statuses.
            Err(error) if error.status().is_some_and(is_gone) && self.can_renew() => {
                self.follow(&self.renewed(until).await?, until).await
            }
            other => other,
        }
    }

    async fn follow(&self, from: &str, until: Instant) -> Result<Incoming, ApiError> {
        let base = self.openmail.base();
        let invalid = || ApiError::new(ApiErrorKind::InsecureRedirect, "it is not a valid URL");
        let mut url = base.resolve(from).ok_or_else(invalid)?;
        let mut visited = HashSet::new();
        let mut named = Named::ByApi;
        for _ in 0..=REDIRECTS {
            url.set_fragment(None);
            let place = judge(&url, base)?;
            if !visited.insert(url.clone()) {
                return Err(ApiError::new(
                    ApiErrorKind::TooManyRedirects,
                    "it redirects in a loop",
                ));
            }
            let mut request = Request::default();
            if place == Place::Elsewhere {
                request.extensions_mut().insert(Untrusted);
            }
            let answer = timeout(self.stall, self.openmail.answer(request, &url, named, until));
            let answer = answer.await.map_err(|_| stalled())??;
            let status = answer.status();
            if is_redirect(status) {
                let location = answer.headers().get(LOCATION).and_then(|it| it.to_str().ok());
                url = location.and_then(|to| url.join(to).ok()).ok_or_else(invalid)?;
                // If this host redirects back to the API, the key is not sent again, since the host
                // would choose what is read with it.
                if place != Place::Api {
                    named = Named::ByAnotherHost;
                }
                continue;
            }
            if status == StatusCode::OK {
                return Incoming::new(answer.into_body(), self.limit(), self.stall, until);
            }
            return Err(match (place, named) {
                (Place::Api, Named::ByApi) => refused(answer, until).await,
                _ => failed(status),
            });
        }
        Err(ApiError::new(ApiErrorKind::TooManyRedirects, "there are more than 5"))
    }

    fn limit(&self) -> u64 {
        self.max_size.unwrap_or_else(|| self.attachment.size.unwrap_or(LARGEST).min(LARGEST))
    }

    fn can_renew(&self) -> bool {
        self.message.as_ref().is_some_and(|of| of.thread.is_some())
    }

    /// Reads the message again, and returns the new URL.
    async fn renewed(&self, until: Instant) -> Result<String, ApiError> {
        let none = |what| Err(ApiError::new(ApiErrorKind::Expired, what));
        let Some(MessageRef { thread: Some(thread), message }) = &self.message else {
            return none("the attachment has no URL, and its message or thread is not known");
        };
        let thread = timeout_at(until, self.openmail.thread(thread)).await;
        let thread = thread.map_err(|_| super::http::late())??;
        let Some(message) = thread.messages.iter().find(|it| it.id == *message) else {
            return none("the attachment's message no longer exists");
        };
        let found = self.find(&message.attachments).and_then(|it| it.url.clone());
        found.map_or_else(|| none("the message has no URL for this attachment any more, or the attachment cannot be identified"), Ok)
    }

    /// Finds the attachment among those of its message. Two files of a message may have the same
    /// name and size; then only the URL can distinguish them.
    fn find<'a>(&self, among: &'a [Attachment]) -> Option<&'a Attachment> {
        let path = |it: &Attachment| {
            let url = it.url.as_deref().and_then(|url| self.openmail.base().resolve(url))?;
            Some((url.host_str().map(str::to_owned), url.path().to_owned()))
        };
        let wanted = path(&self.attachment);
        let is_same_url = |it: &&Attachment| wanted.is_some() && path(it) == wanted;
        let is_same_file = |it: &&Attachment| {
            let Attachment { filename, size, .. } = &self.attachment;
            it.filename == *filename && (size.is_none() || it.size.is_none() || it.size == *size)
        };
        let only =
            |mut found: Vec<&'a Attachment>| if found.len() == 1 { found.pop() } else { None };
        only(among.iter().filter(is_same_url).collect())
            .or_else(|| only(among.iter().filter(is_same_file).collect()))
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("message", &self.message)
            .field("max_size", &self.max_size)
            .field("timeout", &self.timeout)
            .field("stall_timeout", &self.stall)
            .finish_non_exhaustive()
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns whether a status may mean that a signed URL has expired.
fn is_gone(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404 | 410)
}

/// Converts the response of a host that stores files. Only the status is interpreted: the headers
/// and the body of such a host have no known format.
fn failed(status: StatusCode) -> ApiError {
    let kind = if is_gone(status) { ApiErrorKind::Expired } else { ApiErrorKind::Unavailable };
    ApiError::new(kind, format!("the file's host answered {status}")).answered(status, "", "")
}

fn stalled() -> ApiError {
    ApiError::new(ApiErrorKind::Stalled, "nothing arrived for too long")
}

/// A file being downloaded.
pub(super) struct Incoming {
    body: UnsyncBoxBody<Bytes, BoxError>,
    limit: u64,
    read: u64,
    stall: Duration,
    until: Instant,
}

impl Incoming {
    fn new(
        body: UnsyncBoxBody<Bytes, BoxError>,
        limit: u64,
        stall: Duration,
        until: Instant,
    ) -> Result<Self, ApiError> {
        if body.size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        Ok(Self { body, limit, read: 0, stall, until })
    }

    fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = timeout_at(self.until, timeout(self.stall, self.body.frame())).await;
            let frame = frame.map_err(|_| super::http::late())?.map_err(|_| stalled())?;
            let Some(frame) = frame else { return Ok(None) };
            let Ok(data) = frame.map_err(unreachable)?.into_data() else { continue };
            self.read = self.read.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            if self.read > self.limit {
                return Err(too_large(self.limit));
            }
            return Ok(Some(data));
        }
    }

    pub(super) async fn copy_to<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
    ) -> Result<u64, ApiError> {
        while let Some(data) = self.next().await? {
            writer.write_all(&data).await.map_err(disk)?;
        }
        writer.flush().await.map_err(disk)?;
        Ok(self.read)
    }
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(ApiErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))
}

pub(super) fn disk(error: std::io::Error) -> ApiError {
    ApiError::new(ApiErrorKind::Disk, "writing failed").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiKey;

    fn attachment(json: &str) -> Attachment {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn recognises_a_renewed_attachment_by_its_url_or_its_name_and_size() {
        let openmail = OpenMail::at(ApiKey::new("k").unwrap(), "http://127.0.0.1:9").unwrap();
        let find = |wanted: &str, among: &[Attachment]| {
            let found = openmail.download(&attachment(wanted)).find(among).cloned();
            found.and_then(|it| it.url)
        };
        let fresh = [
            attachment(
                r#"{"filename":"a.pdf","sizeBytes":1,"url":"https://f.example/1?sign=new"}"#,
            ),
            attachment(
                r#"{"filename":"a.pdf","sizeBytes":1,"url":"https://f.example/2?sign=new"}"#,
            ),
            attachment(
                r#"{"filename":"b.pdf","sizeBytes":1,"url":"https://f.example/3?sign=new"}"#,
            ),
        ];
        let two = find(r#"{"filename":"a.pdf","url":"https://f.example/2?sign=old"}"#, &fresh);
        assert_eq!(two.as_deref(), Some("https://f.example/2?sign=new"));
        let three =
            find(r#"{"filename":"b.pdf","sizeBytes":1,"url":"https://f.example/9"}"#, &fresh);
        assert_eq!(three.as_deref(), Some("https://f.example/3?sign=new"));
        assert_eq!(find(r#"{"filename":"a.pdf","sizeBytes":1}"#, &fresh), None);
        assert_eq!(find(r#"{"filename":"b.pdf","sizeBytes":2}"#, &fresh), None);
    }
}
