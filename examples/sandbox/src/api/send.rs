//! `POST /v1/inboxes/{id}/send`.

use axum::{
    Json as Body,
    extract::{Path, Request, State},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    state::{Holder, Refusal},
};

use super::extract::read_draft;

pub(super) async fn send(
    State(app): State<App>,
    holder: Holder,
    Path(id): Path<String>,
    request: Request,
) -> Result<Body<Value>, Refusal> {
    app.state.read(|data| holder.inbox(data, &id).map(drop))?;
    let key = request.headers().get("idempotency-key");
    let key = key.and_then(|value| value.to_str().ok()).map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.len() > 255) {
        return Err(Refusal::bad_request("An Idempotency-Key must have at most 255 characters."));
    }
    let draft = read_draft(request, &app).await?;
    let (answer, deliveries) = app.state.change(|data| {
        let sent = data.send(&id, key.as_deref(), draft)?;
        let plan = |mail: &String| data.plan_mail(mail, &app.api_url);
        let deliveries: Vec<_> = sent.arrived.iter().flat_map(plan).collect();
        Ok::<_, Refusal>((sent.answer, deliveries))
    })?;
    app.deliverer.start(deliveries);
    Ok(Body(json!({
        "messageId": answer.mail_id,
        "threadId": answer.thread_id,
        "providerMessageId": answer.rfc_message_id,
        "status": "sent",
    })))
}
