//! `/v1/attachments`.

use axum::{
    Json as Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::LOCATION};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    state::{Attachment, Data, Holder, Refusal},
};

#[derive(Deserialize)]
pub(super) struct Which {
    /// The position of the file in the mail, from 1, if two files have the same name.
    part: Option<usize>,
}

fn find(
    data: &Data,
    holder: &Holder,
    message: &str,
    filename: &str,
    which: &Which,
) -> Result<Attachment, Refusal> {
    let missing = || Refusal::not_found("attachment");
    let mail = data.mail(message).map_err(|_| missing())?;
    holder.inbox(data, &mail.inbox_id)?;
    let mut files = mail.attachments.iter().enumerate();
    let wanted = |place: usize| which.part.is_none_or(|part| part == place + 1);
    let found = files.find(|(place, it)| it.filename == filename && wanted(*place));
    found.map(|(_, it)| it.clone()).ok_or_else(missing)
}

pub(super) async fn redirect(
    State(app): State<App>,
    holder: Holder,
    Path((message, filename)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let found = app.state.read(|data| find(data, &holder, &message, &filename, &which))?;
    let url = app.files.url(&found.file, &found.filename);
    Ok((StatusCode::FOUND, [(LOCATION, url)]).into_response())
}

pub(super) async fn text(
    State(app): State<App>,
    holder: Holder,
    Path((message, filename)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Body<Value>, Refusal> {
    let found = app.state.read(|data| find(data, &holder, &message, &filename, &which))?;
    let text = found.text.ok_or_else(|| {
        let message = format!("The file's text cannot be read: {}.", found.extraction_method);
        Refusal::unprocessable("extraction_failed", message)
    })?;
    Ok(Body(json!({
        "filename": found.filename,
        "contentType": found.content_type,
        "extractionMethod": found.extraction_method,
        "text": text,
    })))
}
