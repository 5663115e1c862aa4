//! The agent: what it answers to a mail.

use openmail_tower::{
    EventRouter, HandlerError, MessageReceived, api::OpenMail, handler::State, openmail_handler,
    reply::Reply,
};

use crate::{model::Model, orders, settings::ModelSettings};

/// Answers mail: by a model, or by a few rules.
#[derive(Debug, Clone)]
pub struct Agent {
    openmail: OpenMail,
    model: Option<Model>,
}

impl Agent {
    /// An agent that reads its threads from `openmail`.
    pub fn new(openmail: OpenMail, model: Option<ModelSettings>) -> Self {
        Self { openmail, model: model.map(Model::new) }
    }

    async fn answer(&self, mail: &MessageReceived) -> Result<String, HandlerError> {
        let (Some(model), Some(thread)) = (&self.model, &mail.thread_id) else {
            return Ok(orders::answer(&mail.message));
        };
        let thread = self.openmail.thread(thread).await?;
        // The model may be available again later.
        model.answer(&thread).await.map_err(|error| HandlerError::from_boxed(error.into()))
    }
}

/// Mail to every inbox. The reply goes to the people of the thread.
#[openmail_handler(event = "message.received")]
async fn answer(
    mail: &MessageReceived,
    State(agent): State<Agent>,
) -> Result<Option<Reply>, HandlerError> {
    if !mail.message.may_auto_reply() {
        tracing::info!(message_id = %mail.message.id, "not to be answered automatically");
        return Ok(None);
    }
    Ok(Some(Reply::text(agent.answer(mail).await?)))
}

/// "Test webhook", suspensions, and events that this program does not know.
#[openmail_handler]
async fn other(event: &openmail_tower::VerifiedEvent) {
    tracing::info!(event = event.kind().as_str(), "nothing to answer");
}

pub(crate) fn handlers(agent: Agent) -> EventRouter {
    EventRouter::new().handler(answer).fallback(other).with_state(agent)
}
