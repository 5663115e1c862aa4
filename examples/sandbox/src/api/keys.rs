//! API keys of pods and inboxes.

use axum::{
    Json as Body,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::{App, made_up},
    state::{ApiKey, Data, Holder, Refusal},
};

use super::extract::Json;

type Answer<T = Body<Value>> = Result<T, Refusal>;
type Created = (StatusCode, Body<Value>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: Option<String>,
}

/// The id of a pod and, for the keys of an inbox, the id of the inbox.
type Owner = (String, Option<String>);

fn pod(data: &Data, id: &str) -> Result<Owner, Refusal> {
    Ok((data.pod(id)?.id.clone(), None))
}

fn inbox(data: &Data, id: &str) -> Result<Owner, Refusal> {
    let inbox = data.inbox(id)?;
    Ok((inbox.pod_id.clone(), Some(inbox.id.clone())))
}

type Find = fn(&Data, &str) -> Result<Owner, Refusal>;

fn list(app: &App, holder: &Holder, find: Find, id: &str) -> Answer {
    holder.account_only()?;
    app.state.read(|data| {
        let (pod, inbox) = find(data, id)?;
        let keys = data.keys(&pod, inbox.as_deref());
        Ok(Body(json!({"data": keys.iter().map(ApiKey::json).collect::<Vec<_>>()})))
    })
}

fn create(app: &App, holder: &Holder, find: Find, id: &str, new: New) -> Answer<Created> {
    holder.account_only()?;
    if new.name.as_ref().is_some_and(|name| name.chars().count() > 255) {
        return Err(Refusal::bad_request("name must have at most 255 characters."));
    }
    let key = app.state.change(|data| {
        let (pod, inbox) = find(data, id)?;
        data.create_key(&pod, inbox.as_deref(), new.name, made_up("om"))
    })?;
    let mut json = key.json();
    json["token"] = json!(key.token);
    Ok((StatusCode::CREATED, Body(json)))
}

fn revoke(app: &App, holder: &Holder, find: Find, id: &str, key: &str) -> Answer<StatusCode> {
    holder.account_only()?;
    app.state.change(|data| {
        let (pod, inbox) = find(data, id)?;
        data.revoke_key(&pod, inbox.as_deref(), key)
    })?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn of_pod(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer {
    list(&app, &holder, pod, &id)
}

pub(super) async fn of_inbox(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer {
    list(&app, &holder, inbox, &id)
}

pub(super) async fn create_for_pod(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    Json(new): Json<New>,
) -> Answer<Created> {
    create(&app, &holder, pod, &id, new)
}

pub(super) async fn create_for_inbox(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    Json(new): Json<New>,
) -> Answer<Created> {
    create(&app, &holder, inbox, &id, new)
}

pub(super) async fn revoke_of_pod(
    State(app): State<App>,
    holder: Holder,
    Path((id, key)): Path<(String, String)>,
) -> Answer<StatusCode> {
    revoke(&app, &holder, pod, &id, &key)
}

pub(super) async fn revoke_of_inbox(
    State(app): State<App>,
    holder: Holder,
    Path((id, key)): Path<(String, String)>,
) -> Answer<StatusCode> {
    revoke(&app, &holder, inbox, &id, &key)
}
