//! Handles the page's forms, which return to the page, and its links to files.

use axum::{
    Form,
    extract::{FromRequest, Multipart, Path, Request, State},
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use serde::Deserialize;

use crate::{
    api::webhook_url,
    app::{App, made_up},
    control::{self, Outside},
    state::{Fault, Faults, Refusal, RequestFault, Scope, Target, unusable_offset},
    text,
};

use super::{
    parts,
    view::{mail_address, with_error},
};

/// Where to return to.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

impl Back {
    /// Redirects to the page, never to another host.
    fn go(&self, app: &App, notice: Option<String>) -> Response {
        let place = if self.back.starts_with("/?") { &self.back } else { "/?" };
        let notice = notice.map(|text| format!("&notice={}", app.notices.add(text)));
        Redirect::to(&format!("{place}{}", notice.unwrap_or_default())).into_response()
    }

    /// Redirects to the page, with the error if there was one.
    fn done<T>(&self, app: &App, result: Result<T, Refusal>) -> Response {
        self.go(app, result.err().map(|refusal| refusal.message))
    }
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
    Form(back): Form<Back>,
) -> Response {
    back.done(&app, control::again(&app, &id))
}

pub(super) async fn deliver_again(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(back): Form<Back>,
) -> Response {
    back.done(&app, control::redeliver(&app, &id))
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

#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(flatten)]
    back: Back,
    url: Option<String>,
    secret: Option<String>,
    reason: Option<String>,
}

/// Notices about settings that were changed.
const SAVED: &str = "Saved.";
const ROTATED: &str = "The secret is rotated: the receiver needs the new one.";

/// Saves the account's form, whichever of its buttons was pressed.
pub(super) async fn account(
    State(app): State<App>,
    Path(action): Path<String>,
    Form(form): Form<Settings>,
) -> Response {
    let save = || {
        let url = webhook_url(form.url)?;
        let secret = match &*action {
            "rotate" => Some(made_up("whsec")),
            "webhook" | "test" => form.secret,
            _ => return Err(Refusal::not_found("action")),
        };
        if let Some(secret) = &secret {
            openmail_tower::Secret::new(secret)
                .map_err(|error| Refusal::bad_request(format!("Not saved: {error}.")))?;
        }
        app.state.change(|data| {
            let mut account = data.account().clone();
            account.webhook_url = url;
            account.webhook_secret = secret.unwrap_or(account.webhook_secret);
            data.set_account(account);
        });
        Ok(())
    };
    let notice = match (save(), &*action) {
        (Err(refusal), _) => refusal.message,
        (Ok(()), "test") => test(&app, app.state.read(|data| data.target(None))).await,
        (Ok(()), "rotate") => ROTATED.to_owned(),
        (Ok(()), _) => SAVED.to_owned(),
    };
    form.back.go(&app, Some(notice))
}

/// Tests a webhook. Returns the notice about the result.
async fn test(app: &App, target: Option<Target>) -> String {
    match target {
        None => "There is no webhook to test: set its URL first.".to_owned(),
        Some(target) => match app.deliverer.test(&target).await {
            Ok(()) => "The webhook accepted the test event.".to_owned(),
            Err(why) => format!("The webhook failed: {why}."),
        },
    }
}

pub(super) async fn inbox(
    State(app): State<App>,
    Path((id, action)): Path<(String, String)>,
    Form(form): Form<Settings>,
) -> Response {
    // The form of the webhook is saved, whichever of its buttons was pressed.
    let save = || {
        let url = webhook_url(form.url)?;
        app.state.change(|data| data.set_webhook(&id, url, made_up("whsec")))
    };
    let rotate = |_| app.state.change(|data| data.rotate_secret(&id, &made_up("whsec")));
    let result = match &*action {
        "webhook" => save().map(|_| Some(SAVED.to_owned())),
        "test" => match save() {
            Ok(_) => Ok(Some(test(&app, app.state.read(|data| data.target(Some(&id)))).await)),
            Err(refusal) => Err(refusal),
        },
        "rotate" => save().and_then(rotate).map(|()| Some(ROTATED.to_owned())),
        "suspend" => control::suspend(&app, &id, form.reason).map(|()| None),
        "reactivate" => control::suspend(&app, &id, None).map(|()| None),
        _ => Err(Refusal::not_found("action")),
    };
    form.back.go(&app, result.unwrap_or_else(|refusal| Some(refusal.message)))
}

pub(super) async fn pod(
    State(app): State<App>,
    Path((id, action)): Path<(String, String)>,
    Form(form): Form<Settings>,
) -> Response {
    let result = match &*action {
        "suspend" => control::suspend_all(&app, &id, form.reason),
        "reactivate" => control::suspend_all(&app, &id, None),
        _ => Err(Refusal::not_found("action")),
    };
    form.back.done(&app, result)
}

#[derive(Deserialize)]
pub(super) struct NewInbox {
    #[serde(flatten)]
    back: Back,
    address: String,
    url: Option<String>,
}

pub(super) async fn new_inbox(State(app): State<App>, Form(form): Form<NewInbox>) -> Response {
    let create = || {
        if !text::is_address(&form.address) {
            return Err(Refusal::bad_request("That is not an address."));
        }
        let webhook = webhook_url(form.url)?.map(|url| (url, made_up("whsec")));
        let address = form.address.clone();
        app.state.change(|data| data.create_inbox(None, None, address, None, webhook))
    };
    let created = create().map(|inbox| inbox.address);
    let notice = match created {
        Ok(address) => format!("Created {}.", parts::name(&address)),
        Err(refusal) => refusal.message,
    };
    form.back.go(&app, Some(notice))
}

#[derive(Deserialize)]
pub(super) struct FaultForm {
    #[serde(flatten)]
    back: Back,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    count: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    clock: String,
    twice: Option<String>,
    order: Option<String>,
    limits: Option<String>,
}

impl FaultForm {
    fn faults(&self) -> Result<Faults, Refusal> {
        let answer = match &*self.answer {
            "" => None,
            code => Some(Fault::from_code(code).ok_or_else(|| Refusal::not_found("answer"))?),
        };
        let count = match self.count.parse() {
            Ok(count @ 1..=1000) => count,
            _ => {
                return Err(Refusal::bad_request(
                    "\"How many\" must be a whole number from 1 to 1000.",
                ));
            }
        };
        let scope = if self.scope == "send" { Scope::Send } else { Scope::All };
        let faults = Faults {
            requests: answer.map(|answer| RequestFault { answer, count, scope }),
            deliver_twice: self.twice.is_some(),
            out_of_order: self.order.is_some(),
            clock_offset_seconds: self.clock.parse().map_err(|_| unusable_offset())?,
            send_limits: self.limits.is_some(),
        };
        faults.check()?;
        Ok(faults)
    }
}

pub(super) async fn faults(State(app): State<App>, Form(form): Form<FaultForm>) -> Response {
    let notice = match form.faults() {
        Ok(faults) => {
            app.state.change(|data| data.faults = faults);
            SAVED.to_owned()
        }
        Err(refusal) => refusal.message,
    };
    form.back.go(&app, Some(notice))
}

pub(super) async fn expire(State(app): State<App>, Form(back): Form<Back>) -> Response {
    app.files.expire();
    back.go(&app, Some("Every attachment URL so far has expired.".to_owned()))
}
