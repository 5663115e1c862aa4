//! `/v1/pods`.

use axum::{
    Json as Body,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    state::{Data, Holder, Pod, Refusal},
};

use super::extract::{Json, Page, nullable};

type Answer<T = Body<Value>> = Result<T, Refusal>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "nullable")]
    client_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    name: Option<Option<String>>,
}

impl Change {
    fn check(&self) -> Result<(), Refusal> {
        let long = |text: &Option<Option<String>>| {
            text.iter().flatten().any(|text| text.chars().count() > 255)
        };
        match long(&self.client_id) || long(&self.name) {
            true => {
                Err(Refusal::bad_request("clientId and name must have at most 255 characters."))
            }
            false => Ok(()),
        }
    }
}

/// Returns the pod, if the key has access to it.
fn reach<'a>(holder: &Holder, data: &'a Data, id: &str) -> Result<&'a Pod, Refusal> {
    let pod = data.pod(id)?;
    match holder {
        Holder::Account => Ok(pod),
        Holder::Pod(own) if pod.id == *own => Ok(pod),
        _ => Err(Refusal::forbidden("The pod is out of this API key's scope.")),
    }
}

pub(super) async fn list(State(app): State<App>, holder: Holder, page: Page) -> Answer {
    Ok(app.state.read(|data| {
        let reached = data.pods().filter(|pod| reach(&holder, data, &pod.id).is_ok());
        let pods: Vec<_> = reached.map(Pod::json).collect();
        Body(json!({"total": pods.len(), "data": page.of(pods)}))
    }))
}

pub(super) async fn create(
    State(app): State<App>,
    holder: Holder,
    Json(change): Json<Change>,
) -> Answer<(StatusCode, Body<Value>)> {
    holder.account_only()?;
    change.check()?;
    let (client_id, name) = (change.client_id.flatten(), change.name.flatten());
    let pod = app.state.change(|data| data.create_pod(client_id, name))?;
    Ok((StatusCode::CREATED, Body(pod.json())))
}

pub(super) async fn show(State(app): State<App>, holder: Holder, Path(id): Path<String>) -> Answer {
    app.state.read(|data| Ok(Body(reach(&holder, data, &id)?.json())))
}

pub(super) async fn update(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    Json(change): Json<Change>,
) -> Answer {
    holder.account_only()?;
    change.check()?;
    let pod = app.state.change(|data| data.update_pod(&id, change.client_id, change.name))?;
    Ok(Body(pod.json()))
}

pub(super) async fn remove(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    holder.account_only()?;
    app.state.change(|data| data.delete_pod(&id))?;
    Ok(StatusCode::NO_CONTENT)
}
