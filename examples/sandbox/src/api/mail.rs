//! Messages and threads.

use axum::{
    Json as Body,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    state::{Data, Direction, Holder, Refusal, Thread},
};

use super::extract::{Json, Page};

type Answer = Result<Body<Value>, Refusal>;

#[derive(Deserialize)]
pub(super) struct MessageFilter {
    direction: Option<Direction>,
}

#[derive(Deserialize)]
pub(super) struct ThreadFilter {
    is_read: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct ReadState {
    is_read: bool,
}

/// Returns the thread, if the key has access to its inbox.
fn reach<'a>(holder: &Holder, data: &'a Data, id: &str) -> Result<&'a Thread, Refusal> {
    let thread = data.thread(id)?;
    holder.inbox(data, &thread.inbox_id)?;
    Ok(thread)
}

pub(super) async fn messages(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    page: Page,
    filter: Result<Query<MessageFilter>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(filter) = filter
        .map_err(|_| Refusal::bad_request("direction must be \"inbound\" or \"outbound\"."))?;
    app.state.read(|data| {
        holder.inbox(data, &id)?;
        let wanted = |it: &Direction| filter.direction.is_none_or(|wanted| wanted == *it);
        let mails: Vec<_> =
            data.mails(&id).into_iter().filter(|mail| wanted(&mail.direction)).collect();
        let total = mails.len();
        let shown = page.of(mails).into_iter().map(|mail| data.mail_json(mail, &app.api_url));
        Ok(Body(json!({"data": shown.collect::<Vec<_>>(), "total": total})))
    })
}

pub(super) async fn threads(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    page: Page,
    filter: Result<Query<ThreadFilter>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(filter) =
        filter.map_err(|_| Refusal::bad_request("is_read must be \"true\" or \"false\"."))?;
    app.state.read(|data| {
        holder.inbox(data, &id)?;
        let wanted = |it: &&Thread| filter.is_read.is_none_or(|wanted| wanted == it.is_read);
        let threads: Vec<_> = data.threads(&id).into_iter().filter(wanted).collect();
        let total = threads.len();
        let shown = page.of(threads).into_iter().map(|thread| data.thread_json(thread));
        Ok(Body(json!({"data": shown.collect::<Vec<_>>(), "total": total})))
    })
}

pub(super) async fn thread_messages(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
) -> Answer {
    app.state.read(|data| {
        let thread = reach(&holder, data, &id)?;
        let mails = data.thread_mails(&id).into_iter();
        let mails: Vec<_> = mails.map(|mail| data.mail_json(mail, &app.api_url)).collect();
        Ok(Body(json!({
            "threadId": thread.id,
            "subject": thread.subject,
            "isRead": thread.is_read,
            "data": mails,
        })))
    })
}

pub(super) async fn update_thread(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    Json(change): Json<ReadState>,
) -> Answer {
    app.state.read(|data| reach(&holder, data, &id).map(drop))?;
    app.state.change(|data| data.mark_read(&id, change.is_read))?;
    Ok(Body(json!({"ok": true})))
}
