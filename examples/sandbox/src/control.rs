//! `/sandbox`: operations for which OpenMail has no API: mail from outside, faults, suspensions and
//! deliveries.

use axum::{
    Json as Body, Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Query, Request, State},
    middleware,
    routing::{get, post},
};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{self, Json, new_file},
    app::App,
    state::{Attempt, Delivery, Faults, Incoming, Refusal},
    text,
};

type Answer<T = Body<Value>> = Result<T, Refusal>;

pub(crate) fn router(app: App) -> Router {
    let mails = post(receive).layer(DefaultBodyLimit::max(api::FILES_LIMIT));
    Router::new()
        .route("/sandbox/mails", mails)
        .route("/sandbox/mails/{id}/again", post(send_again))
        .route("/sandbox/faults", get(faults).put(set_faults))
        .route("/sandbox/attachments/expire", post(expire))
        .route("/sandbox/inboxes/{id}/suspend", post(suspend_inbox))
        .route("/sandbox/inboxes/{id}/reactivate", post(reactivate_inbox))
        .route("/sandbox/pods/{id}/suspend", post(suspend_pod))
        .route("/sandbox/pods/{id}/reactivate", post(reactivate_pod))
        .route("/sandbox/deliveries", get(deliveries))
        .route("/sandbox/deliveries/{id}/again", post(deliver_again))
        .layer(middleware::from_fn_with_state(app.clone(), api::saved))
        .with_state(app)
}

/// A mail as its sender writes it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outside {
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(default)]
    pub(crate) cc: String,
    #[serde(default)]
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) text: String,
    pub(crate) category: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) auto_replyable: Option<bool>,
    /// The id of the mail that it answers.
    pub(crate) reply_to_message: Option<String>,
    #[serde(skip)]
    pub(crate) files: Vec<crate::state::File>,
}

impl Outside {
    /// Reads the form that the page submits. If that fails, the fields read before are kept.
    pub(crate) async fn fill_in(&mut self, mut form: Multipart) -> Result<(), Refusal> {
        let mail = self;
        let refuse = |error: axum::extract::multipart::MultipartError| {
            Refusal::bad_request(error.body_text())
        };
        while let Some(field) = form.next_field().await.map_err(refuse)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "files" {
                // Browsers encode a quotation mark as `%22`.
                let filename = field.file_name().unwrap_or_default().replace("%22", "\"");
                let content_type = field.content_type().map(str::to_owned);
                let bytes = field.bytes().await.map_err(refuse)?;
                // If no file was chosen, a browser sends an empty one.
                if !filename.is_empty() {
                    mail.files.push(new_file(filename, content_type, bytes));
                }
                continue;
            }
            let value = field.text().await.map_err(refuse)?;
            let given = Some(value.clone()).filter(|value| !value.is_empty());
            match &*name {
                "from" => mail.from = value,
                "to" => mail.to = value,
                "cc" => mail.cc = value,
                "subject" => mail.subject = value,
                // Browsers end a line with CRLF here.
                "text" => mail.text = value.replace("\r\n", "\n"),
                "category" => mail.category = given,
                "verdict" => mail.verdict = given,
                "autoReplyable" => mail.auto_replyable = given.map(|it| it == "true"),
                "replyToMessage" => mail.reply_to_message = given,
                _ => {}
            }
        }
        Ok(())
    }

    /// Receives the mail. Returns the ids of the resulting mails, one for each inbox.
    pub(crate) fn send(self, app: &App) -> Answer<Vec<String>> {
        if !text::is_address(text::bare_address(&self.from)) {
            return Err(Refusal::bad_request(
                "\"from\" must be an address, optionally with a name.",
            ));
        }
        let (to, cc) = (text::address_list(&self.to), text::address_list(&self.cc));
        let answered = match &self.reply_to_message {
            Some(id) => Some(app.state.read(|data| data.mail(id).cloned())?),
            None => None,
        };
        let mut references = answered.as_ref().map(|it| it.references.clone()).unwrap_or_default();
        let in_reply_to = answered.map(|it| it.rfc_message_id);
        references.extend(in_reply_to.clone());
        let mails = app.receive(Incoming {
            from: self.from,
            to,
            cc,
            subject: self.subject,
            text: self.text,
            files: self.files,
            in_reply_to,
            references,
            category: self.category,
            verdict: self.verdict,
            auto_replyable: self.auto_replyable,
            ..Incoming::default()
        })?;
        match mails.is_empty() {
            true => Err(Refusal::unprocessable("unknown_recipient", "No inbox has this address.")),
            false => Ok(mails),
        }
    }
}

async fn receive(State(app): State<App>, request: Request) -> Answer<(StatusCode, Body<Value>)> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let mail = if is_form {
        let form = Multipart::from_request(request, &app).await;
        let mut mail = Outside::default();
        mail.fill_in(form.map_err(|error| Refusal::bad_request(error.body_text()))?).await?;
        mail
    } else {
        let Json(mail) = Json::from_request(request, &app).await?;
        mail
    };
    let ids = mail.send(&app)?;
    Ok((
        StatusCode::CREATED,
        Body(app.state.read(|data| {
            let mails = ids.iter().filter_map(|id| data.mail(id).ok());
            let mails: Vec<_> = mails.map(|mail| data.mail_json(mail, &app.api_url)).collect();
            json!({"data": mails})
        })),
    ))
}

async fn send_again(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Body<Value>)> {
    let again = again(&app, &id)?;
    Ok((StatusCode::CREATED, Body(json!({"messageId": again}))))
}

/// Sends a received mail once more. Returns the id of the new mail.
pub(crate) fn again(app: &App, id: &str) -> Answer<String> {
    let (again, deliveries) = app.state.change(|data| {
        let again = data.receive_again(id)?;
        let deliveries = data.plan_mail(&again, &app.api_url);
        Ok::<_, Refusal>((again, deliveries))
    })?;
    app.deliverer.start(deliveries);
    Ok(again)
}

async fn faults(State(app): State<App>) -> Body<Faults> {
    Body(app.state.read(|data| data.faults.clone()))
}

async fn set_faults(
    State(app): State<App>,
    Json(faults): Json<Faults>,
) -> Result<Body<Faults>, Refusal> {
    faults.check()?;
    app.state.change(|data| data.faults = faults.clone());
    Ok(Body(faults))
}

async fn expire(State(app): State<App>) -> StatusCode {
    app.files.expire();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

const DEFAULT_REASON: &str = "manual_review";

/// Suspends an inbox, or reactivates it if `reason` is `None`, and notifies its webhook.
pub(crate) fn suspend(app: &App, inbox: &str, reason: Option<String>) -> Answer<()> {
    let delivery = app.state.change(|data| data.suspend_inbox(inbox, reason))?;
    app.deliverer.start(delivery);
    Ok(())
}

/// Suspends or reactivates a pod.
pub(crate) fn suspend_all(app: &App, pod: &str, reason: Option<String>) -> Answer<()> {
    let deliveries = app.state.change(|data| data.suspend_pod(pod, reason))?;
    app.deliverer.start(deliveries);
    Ok(())
}

fn reason(why: Option<Body<Why>>) -> Option<String> {
    let given = why.and_then(|Body(why)| why.reason);
    Some(given.unwrap_or_else(|| DEFAULT_REASON.to_owned()))
}

async fn suspend_inbox(
    State(app): State<App>,
    Path(id): Path<String>,
    why: Option<Body<Why>>,
) -> Answer<StatusCode> {
    suspend(&app, &id, reason(why))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reactivate_inbox(State(app): State<App>, Path(id): Path<String>) -> Answer<StatusCode> {
    suspend(&app, &id, None)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn suspend_pod(
    State(app): State<App>,
    Path(id): Path<String>,
    why: Option<Body<Why>>,
) -> Answer<StatusCode> {
    suspend_all(&app, &id, reason(why))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reactivate_pod(State(app): State<App>, Path(id): Path<String>) -> Answer<StatusCode> {
    suspend_all(&app, &id, None)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    message_id: Option<String>,
}

async fn deliveries(State(app): State<App>, Query(wanted): Query<Wanted>) -> Body<Value> {
    Body(app.state.read(|data| {
        let found = match &wanted.message_id {
            Some(id) => data.deliveries_of(id),
            None => data.deliveries().take(100).collect(),
        };
        json!({"data": found.into_iter().map(delivery_json).collect::<Vec<_>>()})
    }))
}

fn delivery_json(delivery: &Delivery) -> Value {
    let attempts: Vec<_> = delivery.attempts.iter().map(attempt_json).collect();
    json!({
        "id": delivery.id,
        "event": delivery.kind,
        "eventId": delivery.event.get("event_id"),
        "inboxId": delivery.inbox_id,
        "messageId": delivery.mail_id,
        "url": delivery.url,
        "status": delivery.progress,
        "nextAttemptAt": delivery.due.map(text::time),
        "attempts": attempts,
    })
}

fn attempt_json(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "at": text::time(attempt.at),
        "status": attempt.status,
        "error": attempt.error,
        "failure": attempt.failure,
        "durationMs": attempt.elapsed_ms,
    })
}

async fn deliver_again(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Body<Value>)> {
    let again = redeliver(&app, &id)?;
    Ok((StatusCode::CREATED, Body(json!({"id": again}))))
}

/// Delivers an event once more, from the first attempt on.
pub(crate) fn redeliver(app: &App, id: &str) -> Answer<String> {
    let again = app.state.change(|data| data.plan_again(id))?;
    let again = again.ok_or_else(Refusal::no_webhook_url)?;
    app.deliverer.start([again.clone()]);
    Ok(again)
}
