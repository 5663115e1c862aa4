//! Sends mail.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;

use crate::event::InboxId;

use super::{
    client::OpenMail,
    error::{ApiError, ApiErrorKind},
    outgoing::{Outgoing, Prepared},
    records::Sent,
};

const KEY: usize = 255;
const ANSWER: usize = 1024 * 1024;
/// The lowest upload rate, in bytes per second, that the time limit allows for.
const SLOWEST: u64 = 256 * 1024;

fn slow_upload(size: usize) -> Duration {
    Duration::from_secs(u64::try_from(size).unwrap_or(u64::MAX) / SLOWEST)
}

impl OpenMail {
    /// Sends a mail from an inbox.
    ///
    /// OpenMail sends one mail for each `idempotency_key` of the account, and remembers keys for
    /// 24 h. If you derive the key from what the mail is about, such as `order-4711-shipped`, a
    /// retry with the same mail does not send it twice. A key has 1 to 255 visible ASCII
    /// characters.
    ///
    /// # Errors
    /// If the mail breaks one of OpenMail's rules ([`Invalid`](ApiErrorKind::Invalid); nothing is
    /// sent), if OpenMail refuses it, or if there is no response that can be read. After an error,
    /// check [`may_have_been_sent`](ApiError::may_have_been_sent).
    /// [`KeyReused`](ApiErrorKind::KeyReused) means that another mail was sent with this key
    /// before.
    pub async fn send(
        &self,
        inbox: &InboxId,
        idempotency_key: &str,
        mail: &Outgoing,
    ) -> Result<Sent, ApiError> {
        self.send_prepared(inbox, idempotency_key, &mail.prepare()?).await
    }

    /// Sends a mail whose bytes are already prepared.
    pub(crate) async fn send_prepared(
        &self,
        inbox: &InboxId,
        idempotency_key: &str,
        mail: &Prepared,
    ) -> Result<Sent, ApiError> {
        let invalid = |what| ApiError::new(ApiErrorKind::Invalid, what);
        let fits = idempotency_key.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || idempotency_key.is_empty() || idempotency_key.len() > KEY {
            return Err(invalid("an idempotency key must have 1 to 255 visible ASCII characters"));
        }
        let key = HeaderValue::from_str(idempotency_key).map_err(|error| {
            invalid("the idempotency key is not a valid header value").caused_by(error)
        })?;
        let content_type = HeaderValue::from_str(&mail.content_type).map_err(|error| {
            invalid("the content type is not a valid header value").caused_by(error)
        })?;
        let url = self.url(&["v1", "inboxes", inbox.as_str(), "send"])?;
        let mut request = Request::new(Full::new(Bytes::clone(&mail.body)));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("idempotency-key", key);
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        // A large mail takes longer to upload.
        let limit = self.time_limit().saturating_add(slow_upload(mail.body.len()));
        self.json_within(limit, request, &url, ANSWER).await
    }
}
