//! Extractors for the handlers of the API.

use axum::{
    extract::{FromRequest, FromRequestParts, Multipart, Query, Request, rejection::JsonRejection},
    http::request::Parts,
};
use http::{StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    app::App,
    state::{Data, Draft, File, Holder, Inbox, Refusal},
    text,
};

impl FromRequestParts<App> for Holder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok()?.split_once(' '));
        let (scheme, token) = token.ok_or_else(Refusal::unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::unauthorized());
        }
        let holder = app.state.read(|data| data.holder(token.trim()));
        let holder = holder.ok_or_else(Refusal::unauthorized)?;
        if holder != Self::Account {
            app.state.change(|data| data.note_use(token.trim()));
        }
        Ok(holder)
    }
}

impl Holder {
    /// Refuses all keys except the account's.
    pub(crate) fn account_only(&self) -> Result<(), Refusal> {
        match self {
            Self::Account => Ok(()),
            _ => Err(Refusal::forbidden("This needs the account's own API key.")),
        }
    }

    /// Returns the inbox, if this key has access to it.
    pub(crate) fn inbox<'a>(&self, data: &'a Data, id: &str) -> Result<&'a Inbox, Refusal> {
        let inbox = data.inbox(id)?;
        let reaches = match self {
            Self::Account => true,
            Self::Pod(pod) => inbox.pod_id == *pod,
            Self::Inbox(own) => inbox.id == *own,
        };
        match reaches {
            true => Ok(inbox),
            false => Err(Refusal::forbidden("The inbox is out of this API key's scope.")),
        }
    }
}

/// `limit` and `offset`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    limit: usize,
    offset: usize,
}

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<usize>,
    offset: Option<usize>,
}

impl FromRequestParts<App> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let Query(query): Query<PageQuery> = Query::try_from_uri(&parts.uri)
            .map_err(|_| Refusal::bad_request("limit and offset must be whole numbers."))?;
        let limit = query.limit.unwrap_or(50).clamp(1, 100);
        Ok(Self { limit, offset: query.offset.unwrap_or(0) })
    }
}

impl Page {
    /// Returns this page of all items.
    pub(crate) fn of<T>(self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

/// A JSON body. Unlike axum's extractor, it rejects in OpenMail's format.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        match axum::Json::from_request(request, app).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refuse(&rejection)),
        }
    }
}

fn refuse(rejection: &JsonRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Refusal::bad_request(rejection.body_text()),
    }
}

fn too_large() -> Refusal {
    let message = "The request is too large.";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
}

/// Distinguishes a field that is `null` from one that is absent.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonDraft {
    to: String,
    body: String,
    subject: Option<String>,
    body_html: Option<String>,
    thread_id: Option<String>,
    include_quote: Option<bool>,
    reply_to: Option<String>,
    cc: Option<Addresses>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Addresses {
    Several(Vec<String>),
    One(String),
}

/// Reads a mail to send, as JSON or as a form.
pub(crate) async fn read_draft(request: Request, app: &App) -> Result<Draft, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let form = Multipart::from_request(request, app)
            .await
            .map_err(|error| Refusal::bad_request(error.body_text()))?;
        return read_form(form).await;
    }
    let Json(draft): Json<JsonDraft> = Json::from_request(request, app).await?;
    let cc = match draft.cc {
        Some(Addresses::Several(all)) => all,
        Some(Addresses::One(list)) => text::address_list(&list),
        None => Vec::new(),
    };
    Ok(Draft {
        to: draft.to,
        cc,
        subject: draft.subject,
        body: draft.body,
        body_html: draft.body_html,
        thread_id: draft.thread_id,
        include_quote: draft.include_quote.unwrap_or(true),
        reply_to: draft.reply_to,
        files: Vec::new(),
    })
}

async fn read_form(mut form: Multipart) -> Result<Draft, Refusal> {
    let mut draft = Draft { include_quote: true, ..Draft::default() };
    let refuse = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Refusal::bad_request(error.body_text()),
    };
    while let Some(field) = form.next_field().await.map_err(refuse)? {
        let name = field.name().unwrap_or_default().to_owned();
        // Some clients write a list's name as `attachments[]`.
        let name = name.strip_suffix("[]").unwrap_or(&name);
        if name == "attachments" {
            let filename = field.file_name().unwrap_or("attachment").to_owned();
            let content_type = field.content_type().map(str::to_owned);
            let bytes = field.bytes().await.map_err(refuse)?;
            draft.files.push(new_file(filename, content_type, bytes));
            continue;
        }
        let value = field.text().await.map_err(refuse)?;
        match name {
            "to" => draft.to = value,
            "subject" => draft.subject = Some(value),
            "body" => draft.body = value,
            "bodyHtml" => draft.body_html = Some(value),
            "threadId" => draft.thread_id = Some(value),
            "replyTo" => draft.reply_to = Some(value),
            "includeQuote" => draft.include_quote = !matches!(&*value, "false" | "0"),
            "cc" => match serde_json::from_str(&value) {
                Ok(Addresses::Several(all)) => draft.cc.extend(all),
                _ => draft.cc.extend(text::address_list(&value)),
            },
            _ => {}
        }
    }
    Ok(draft)
}

/// Creates a file. If the client states no type, or only `application/octet-stream`, the type is
/// guessed from the name.
pub(crate) fn new_file(
    filename: String,
    content_type: Option<String>,
    bytes: bytes::Bytes,
) -> File {
    let guess = || mime_guess::from_path(&filename).first_or_octet_stream().to_string();
    let content_type = content_type.filter(|kind| kind != "application/octet-stream");
    let content_type = content_type.unwrap_or_else(guess);
    File { filename, content_type, bytes }
}
