//! Serves the bytes of attachments on a separate port, at signed URLs that expire.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use hmac::Mac;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    app::{App, mac, random},
    text::segment,
};

/// The duration after which a signed URL expires.
pub(crate) const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Signs the URLs of attachments.
pub(crate) struct Signer {
    base_url: String,
    key: Mutex<[u8; 32]>,
}

impl Signer {
    pub(crate) fn new(base_url: String) -> Self {
        Self { base_url, key: Mutex::new(random()) }
    }

    /// Returns a URL that is valid for [`LIFETIME`].
    pub(crate) fn url(&self, file: &str, filename: &str) -> String {
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX);
        let expires = (Timestamp::now().as_second() + lifetime).to_string();
        let signature = hex::encode(mac(&self.key(), &[file, &expires]).finalize().into_bytes());
        let (base, filename) = (&self.base_url, segment(filename));
        format!("{base}/files/{file}/{filename}?expires={expires}&signature={signature}")
    }

    /// Expires all URLs signed so far.
    pub(crate) fn expire(&self) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = random();
    }

    fn verify(&self, file: &str, expires: &str, signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        let genuine = mac(&self.key(), &[file, expires]).verify_slice(&signature).is_ok();
        let expires: i64 = expires.parse().unwrap_or(0);
        genuine && Timestamp::now().as_second() < expires
    }

    fn key(&self) -> [u8; 32] {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The service on the port for files.
pub(crate) fn router(app: App) -> Router {
    Router::new().route("/files/{file}/{filename}", get(download)).with_state(app)
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    expires: String,
    #[serde(default)]
    signature: String,
}

async fn download(
    State(app): State<App>,
    Path((file, filename)): Path<(String, String)>,
    Query(signed): Query<Signed>,
) -> Response {
    if !app.files.verify(&file, &signed.expires, &signed.signature) {
        return (StatusCode::FORBIDDEN, "The URL is invalid or has expired.\n").into_response();
    }
    let Some(bytes) = app.state.read(|data| data.file(&file)) else {
        return (StatusCode::NOT_FOUND, "The file is gone.\n").into_response();
    };
    // A browser must not display the file, since it comes from a stranger.
    let disposition = format!("attachment; filename*=UTF-8''{}", segment(&filename));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    (headers, bytes).into_response()
}
