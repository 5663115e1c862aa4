//! `/v1/inboxes`.

use axum::{
    Json as Body,
    extract::{Path, Query, State},
};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::{App, made_up},
    state::{Data, Holder, Inbox, Refusal, new_id},
};

use super::extract::{Json, Page, nullable};

type Answer<T = Body<Value>> = Result<T, Refusal>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct New {
    mailbox_name: Option<String>,
    display_name: Option<String>,
    domain: Option<String>,
    webhook_url: Option<String>,
    pod_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "nullable")]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    webhook_url: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    pod_id: Option<String>,
}

/// Reads a webhook's URL; an empty one means none.
pub(crate) fn webhook_url(text: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let uri = text.parse::<Uri>().ok();
    let usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    });
    match usable {
        true => Ok(Some(text)),
        false => {
            let message = "A webhook must be a URL that begins with http:// or https://.";
            Err(Refusal::unprocessable("invalid_webhook_url", message))
        }
    }
}

fn check_name(name: Option<&str>) -> Result<(), Refusal> {
    match name {
        Some(name) if name.chars().count() > 200 || name.contains(['<', '>', '\r', '\n']) => {
            Err(Refusal::bad_request(
                "displayName must have at most 200 characters, and no <, > or line break.",
            ))
        }
        _ => Ok(()),
    }
}

fn address(app: &App, data: &Data, new: &New) -> Result<String, Refusal> {
    let random = || new_id("a").split_off(12);
    let name = new.mailbox_name.clone().unwrap_or_else(random).to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if !(3..=30).contains(&name.len())
        || !name.chars().all(allowed)
        || !name.starts_with(ends)
        || !name.ends_with(ends)
    {
        return Err(Refusal::bad_request(
            "mailboxName must have 3 to 30 letters, digits, dots, dashes, underscores or plus \
             signs, and begin and end with a letter or digit.",
        ));
    }
    let Some(domain) = &new.domain else { return Ok(format!("{name}@{}", app.domain)) };
    // The domains of existing inboxes, such as those of `--inbox`, count as verified.
    let verified = data.inboxes().iter().any(|inbox| {
        inbox.address.rsplit_once('@').is_some_and(|(_, it)| it.eq_ignore_ascii_case(domain))
    });
    match verified || domain.eq_ignore_ascii_case(&app.domain) {
        true => Ok(format!("{name}@{domain}")),
        false => Err(Refusal::bad_request("The domain is not verified.")),
    }
}

fn with_secret(inbox: &Inbox, shown: bool) -> Value {
    let mut json = inbox.json();
    if shown {
        json["webhookSecret"] = json!(inbox.webhook_secret);
    }
    json
}

pub(super) async fn list(
    State(app): State<App>,
    holder: Holder,
    page: Page,
    Query(filter): Query<Filter>,
) -> Answer {
    Ok(app.state.read(|data| {
        let pod = filter.pod_id.as_deref().map(|id| data.pod(id).map(|pod| pod.id.clone()));
        let in_pod = |inbox: &&Inbox| match &pod {
            None => true,
            Some(Ok(pod)) => inbox.pod_id == *pod,
            Some(Err(_)) => false,
        };
        let reached = |inbox: &&Inbox| holder.inbox(data, &inbox.id).is_ok();
        let all = data.inboxes().into_iter().filter(in_pod).filter(reached);
        let inboxes: Vec<_> = all.map(Inbox::json).collect();
        Body(json!({"total": inboxes.len(), "data": page.of(inboxes)}))
    }))
}

pub(super) async fn create(
    State(app): State<App>,
    holder: Holder,
    Json(new): Json<New>,
) -> Answer<(StatusCode, Body<Value>)> {
    check_name(new.display_name.as_deref())?;
    let url = webhook_url(new.webhook_url.clone())?;
    let inbox = app.state.change(|data| {
        let pod = match &holder {
            Holder::Account => new.pod_id.clone(),
            Holder::Pod(own) => Some(own.clone()),
            Holder::Inbox(_) => {
                return Err(Refusal::forbidden("An inbox's API key cannot create inboxes."));
            }
        };
        let address = address(&app, data, &new)?;
        let webhook = url.map(|url| (url, made_up("whsec")));
        data.create_inbox(None, pod.as_deref(), address, new.display_name, webhook)
    })?;
    Ok((StatusCode::CREATED, Body(with_secret(&inbox, inbox.webhook_secret.is_some()))))
}

pub(super) async fn show(State(app): State<App>, holder: Holder, Path(id): Path<String>) -> Answer {
    app.state.read(|data| Ok(Body(holder.inbox(data, &id)?.json())))
}

pub(super) async fn update(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    Json(change): Json<Change>,
) -> Answer {
    app.state.read(|data| holder.inbox(data, &id).map(drop))?;
    holder.account_only()?;
    check_name(change.display_name.iter().flatten().next().map(String::as_str))?;
    let url = change.webhook_url.map(webhook_url).transpose()?;
    app.state.change(|data| {
        if let Some(name) = change.display_name {
            data.set_display_name(&id, name)?;
        }
        let first = match url {
            Some(url) => data.set_webhook(&id, url, made_up("whsec"))?,
            None => false,
        };
        Ok(Body(with_secret(data.inbox(&id)?, first)))
    })
}

pub(super) async fn remove(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    app.state.read(|data| holder.inbox(data, &id).map(drop))?;
    holder.account_only()?;
    app.state.change(|data| data.delete_inbox(&id))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rotate_secret(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer {
    app.state.read(|data| holder.inbox(data, &id).map(drop))?;
    holder.account_only()?;
    let secret = made_up("whsec");
    app.state.change(|data| data.rotate_secret(&id, &secret))?;
    Ok(Body(json!({"webhookSecret": secret})))
}

pub(super) async fn test_webhook(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer {
    let target = app.state.read(|data| {
        let inbox = holder.inbox(data, &id)?;
        let own = inbox.webhook_url.is_some().then(|| data.target(Some(&inbox.id)));
        own.flatten().ok_or_else(Refusal::no_webhook_url)
    })?;
    match app.deliverer.test(&target).await {
        Ok(()) => Ok(Body(json!({"ok": true, "message": "The webhook accepted the test event."}))),
        Err(why) => {
            let message = format!("The webhook failed: {why}.");
            Err(Refusal::new(StatusCode::BAD_GATEWAY, "webhook_failed", message))
        }
    }
}
