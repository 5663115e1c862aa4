//! Handles the page's forms, which return to the page, and its links to files.

use axum::{
    Form,
    extract::{FromRequest, Multipart, Path, Request, State},
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;

use crate::{
    api::webhook_url,
    app::{App, made_up},
    control::{self, Outside},
    notices::{Fields, Notice, Rejected},
    state::{Fault, Faults, Refusal, RequestFault, Scope, Target, unusable_offset},
    text,
};

use super::{
    settings,
    view::{mail_address, with_error},
};

/// Redirects to the page with the form, never to another host. The page then shows the notice, or
/// what was entered and why it was rejected.
fn back(
    app: &App,
    form: &str,
    fields: Fields,
    result: Result<Option<String>, Refusal>,
) -> Response {
    let place = fields.get("back").filter(|place| place.starts_with("/?")).unwrap_or("/?");
    let mut place = place.to_owned();
    let notice = match result {
        Ok(text) => text.map(|text| Notice { text, rejected: None }),
        Err(refusal) => {
            let rejected = Some(Rejected { form: form.to_owned(), fields });
            Some(Notice { text: refusal.message, rejected })
        }
    };
    if let Some(notice) = notice {
        place.push_str(&format!("&notice={}", app.notices.add(notice)));
    }
    Redirect::to(&place).into_response()
}

pub(super) async fn mail(State(app): State<App>, request: Request) -> Response {
    let form = match Multipart::from_request(request, &app).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let mut mail = Outside::default();
    let read = mail.fill_in(form).await;
    let had_files = read.is_err() || !mail.files.is_empty();
    let draft = Outside {
        from: mail.from.clone(),
        to: mail.to.clone(),
        cc: mail.cc.clone(),
        subject: mail.subject.clone(),
        text: mail.text.clone(),
        category: mail.category.clone(),
        verdict: mail.verdict.clone(),
        auto_replyable: mail.auto_replyable,
        reply_to_message: mail.reply_to_message.clone(),
        files: Vec::new(),
    };
    match read.and_then(|()| mail.send(&app)) {
        Ok(mails) => {
            let first =
                mails.first().and_then(|id| app.state.read(|data| data.mail(id).cloned().ok()));
            Redirect::to(&first.map_or("/".to_owned(), |mail| mail_address(&mail))).into_response()
        }
        Err(refusal) => {
            // A page cannot fill in the files of a form.
            let again = if had_files { " The files are not kept: choose them again." } else { "" };
            let page = with_error(&app, &draft, &format!("{}{again}", refusal.message));
            (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
        }
    }
}

pub(super) async fn send_again(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(fields): Form<Fields>,
) -> Response {
    back(&app, &id, fields, control::again(&app, &id).map(|_| None))
}

pub(super) async fn deliver_again(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(fields): Form<Fields>,
) -> Response {
    back(&app, &id, fields, control::redeliver(&app, &id).map(|_| None))
}

pub(super) async fn file(
    State(app): State<App>,
    Path((mail, place)): Path<(String, usize)>,
) -> Response {
    let attachment = app.state.read(|data| data.mail(&mail).ok()?.attachments.get(place).cloned());
    match attachment {
        Some(file) => Redirect::to(&app.files.url(&file.file, &file.filename)).into_response(),
        None => Refusal::not_found("attachment").into_response(),
    }
}

/// Notices about settings that were changed.
const SAVED: &str = "Saved.";
const ROTATED: &str = "The secret is rotated: the receiver needs the new one.";

/// Saves the account's form, whichever of its buttons was pressed.
pub(super) async fn account(
    State(app): State<App>,
    Path(action): Path<String>,
    Form(fields): Form<Fields>,
) -> Response {
    let save = || {
        let url = url(&fields)?;
        let secret = match &*action {
            "rotate" => Some(made_up("whsec")),
            "webhook" | "test" => fields.get("secret").map(str::to_owned),
            _ => return Err(Refusal::not_found("action")),
        };
        app.state.change(|data| {
            let mut account = data.account().clone();
            account.webhook_url = url;
            account.webhook_secret = secret.unwrap_or(account.webhook_secret);
            data.set_account(account)
        })
    };
    let result = match (save(), &*action) {
        (Err(refusal), _) => Err(refusal),
        (Ok(()), "test") => test(&app, app.state.read(|data| data.target(None))).await,
        (Ok(()), "rotate") => Ok(ROTATED.to_owned()),
        (Ok(()), _) => Ok(SAVED.to_owned()),
    };
    back(&app, settings::ACCOUNT, fields, result.map(Some))
}

fn url(fields: &Fields) -> Result<Option<String>, Refusal> {
    webhook_url(fields.get("url").map(str::to_owned))
}

/// Tests a webhook.
async fn test(app: &App, target: Option<Target>) -> Result<String, Refusal> {
    let Some(target) = target else {
        let message = "There is no webhook to test: set its URL first.";
        return Err(Refusal::bad_request(message));
    };
    match app.deliverer.test(&target).await {
        Ok(()) => Ok("The webhook accepted the test event.".to_owned()),
        Err(why) => Err(Refusal::bad_request(format!("The webhook failed: {why}."))),
    }
}

pub(super) async fn inbox(
    State(app): State<App>,
    Path((id, action)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Response {
    // The form of the webhook is saved, whichever of its buttons was pressed.
    let save = || {
        let url = url(&fields)?;
        app.state.change(|data| data.set_webhook(&id, url, made_up("whsec")))
    };
    let rotate = |_| app.state.change(|data| data.rotate_secret(&id, &made_up("whsec")));
    let result = match &*action {
        "webhook" => save().map(|_| Some(SAVED.to_owned())),
        "test" => match save() {
            Ok(_) => test(&app, app.state.read(|data| data.target(Some(&id)))).await.map(Some),
            Err(refusal) => Err(refusal),
        },
        "rotate" => save().and_then(rotate).map(|()| Some(ROTATED.to_owned())),
        "suspend" => control::suspend(&app, &id, reason(&fields)).map(|()| None),
        "reactivate" => control::suspend(&app, &id, None).map(|()| None),
        _ => Err(Refusal::not_found("action")),
    };
    back(&app, &id, fields, result)
}

pub(super) async fn pod(
    State(app): State<App>,
    Path((id, action)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Response {
    let result = match &*action {
        "suspend" => control::suspend_all(&app, &id, reason(&fields)),
        "reactivate" => control::suspend_all(&app, &id, None),
        _ => Err(Refusal::not_found("action")),
    };
    back(&app, &id, fields, result.map(|()| None))
}

fn reason(fields: &Fields) -> Option<String> {
    fields.get("reason").map(str::to_owned)
}

pub(super) async fn new_inbox(State(app): State<App>, Form(fields): Form<Fields>) -> Response {
    let create = || {
        let address = fields.get("address").unwrap_or_default().to_owned();
        if !text::is_address(&address) {
            return Err(Refusal::bad_request("That is not an address."));
        }
        let webhook = url(&fields)?.map(|url| (url, made_up("whsec")));
        app.state.change(|data| data.create_inbox(None, None, address, None, webhook))
    };
    let result = create().map(|inbox| Some(format!("Created {}.", inbox.address)));
    back(&app, settings::NEW_INBOX, fields, result)
}

pub(super) async fn faults(State(app): State<App>, Form(fields): Form<Fields>) -> Response {
    let result = read_faults(&fields).map(|faults| {
        app.state.change(|data| data.faults = faults);
        Some(SAVED.to_owned())
    });
    back(&app, settings::FAULTS, fields, result)
}

fn read_faults(fields: &Fields) -> Result<Faults, Refusal> {
    let value = |name| fields.get(name).unwrap_or_default();
    let answer = match value("answer") {
        "" => None,
        code => Some(Fault::from_code(code).ok_or_else(|| Refusal::not_found("answer"))?),
    };
    let count = match value("count").parse() {
        Ok(count @ 1..=1000) => count,
        _ => {
            return Err(Refusal::bad_request(
                "\"How many\" must be a whole number from 1 to 1000.",
            ));
        }
    };
    let scope = if value("scope") == "send" { Scope::Send } else { Scope::All };
    let faults = Faults {
        requests: answer.map(|answer| RequestFault { answer, count, scope }),
        deliver_twice: fields.get("twice").is_some(),
        out_of_order: fields.get("order").is_some(),
        clock_offset_seconds: value("clock").parse().map_err(|_| unusable_offset())?,
        send_limits: fields.get("limits").is_some(),
    };
    faults.check()?;
    Ok(faults)
}

pub(super) async fn expire(State(app): State<App>, Form(fields): Form<Fields>) -> Response {
    app.files.expire();
    let notice = "Every attachment URL so far has expired.".to_owned();
    back(&app, settings::FAULTS, fields, Ok(Some(notice)))
}
