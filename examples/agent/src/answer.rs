//! The agent, which answers mails.

use openmail_tower::{
    EventRouter, HandlerError, MessageReceived, VerifiedEvent, api::OpenMail, handler::State,
    layers::guard::Guarded, openmail_handler, reply::Reply,
};

use crate::{model::Model, orders, settings::ModelSettings};

/// Answers mail with a model, or with a few built-in rules.
#[derive(Debug, Clone)]
pub struct Agent {
    openmail: OpenMail,
    model: Option<Model>,
}

impl Agent {
    /// Creates an agent that reads threads from `openmail`.
    pub fn new(openmail: OpenMail, model: Option<ModelSettings>) -> Self {
        Self { openmail, model: model.map(Model::new) }
    }

    async fn answer(&self, mail: &MessageReceived) -> Result<String, HandlerError> {
        let Some(model) = &self.model else { return Ok(orders::answer(&mail.message)) };
        let mut history = match &mail.thread_id {
            Some(thread) => self.openmail.thread(thread).await?.messages,
            None => Vec::new(),
        };
        // Later mails are answered separately.
        if let Some(index) = history.iter().position(|earlier| earlier.id == mail.message.id) {
            history.truncate(index);
        }
        // Any failure of the model is retried.
        model.answer(&mail.message, &history).await
    }
}

/// Handles mail to every inbox. The reply goes to the mail's sender. If the inbox was only copied,
/// the reply goes to the addresses in `To` instead, and the sender is copied.
#[openmail_handler(event = "message.received")]
async fn answer(
    mail: &MessageReceived,
    guarded: Guarded,
    State(agent): State<Agent>,
) -> Result<Option<Reply>, HandlerError> {
    if !mail.message.may_auto_reply() {
        tracing::info!(message_id = %mail.message.id, "may not be answered automatically");
        return Ok(None);
    }
    if guarded.withholds_replies() {
        // The guard has logged why. The model is not paid for an answer that nobody gets.
        return Ok(None);
    }
    Ok(Some(Reply::text(agent.answer(mail).await?)))
}

/// Handles all other events: "Test webhook", suspensions, reactivations, and unknown events. One
/// that does not fit its type, such as a mail without an id, becomes a dead letter.
#[openmail_handler]
async fn other(event: &VerifiedEvent) -> Result<(), HandlerError> {
    if let Some(misfit) = event.event().misfit() {
        return Err(HandlerError::permanent(misfit.to_string()));
    }
    tracing::info!(event = event.kind().as_str(), "nothing to answer");
    Ok(())
}

pub(crate) fn handlers(agent: Agent) -> EventRouter {
    EventRouter::new().handler(answer).fallback(other).with_state(agent)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, extract::State as AppState, routing::post};
    use openmail_tower::{
        api::ApiKey,
        layers::guard::GuardLayer,
        testing::{TestEvent, dispatch},
    };
    use tokio::net::TcpListener;
    use tower::{Layer as _, util::option_layer};

    use super::*;

    fn agent(model: Option<ModelSettings>) -> Agent {
        let key = ApiKey::new("om_test").expect("a key");
        Agent::new(OpenMail::at(key, "http://127.0.0.1:9").expect("an address"), model)
    }

    /// Starts a model that counts the requests.
    async fn model(asked: Arc<AtomicUsize>) -> ModelSettings {
        let complete = async |AppState(asked): AppState<Arc<AtomicUsize>>| {
            asked.fetch_add(1, Ordering::SeqCst);
            r#"{"choices": [{"message": {"content": "Soon."}}]}"#
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(asked);
        tokio::spawn(async move { axum::serve(listener, app).await });
        ModelSettings { url: url.parse().expect("a URL"), model: "small".into(), key: None }
    }

    #[tokio::test]
    async fn model_is_not_asked_for_a_reply_that_the_guard_withholds() {
        for (guard, calls) in [(Some(GuardLayer::default()), 2), (None, 5)] {
            let asked = Arc::<AtomicUsize>::default();
            let agent = agent(Some(model(asked.clone()).await));
            let events = option_layer(guard).layer(handlers(agent));
            for _ in 0..5 {
                let mail = TestEvent::message_received()
                    .without("thread_id")
                    .from("Ada <ada@example.com>")
                    .text("Where is my order? I have heard nothing about it since last week.");
                dispatch(&events, mail).await.expect("handled");
            }
            assert_eq!(asked.load(Ordering::SeqCst), calls);
        }
    }

    #[tokio::test]
    async fn mail_that_does_not_fit_its_type_is_an_error() {
        let handlers = handlers(agent(None));
        dispatch(&handlers, TestEvent::new("setup.test")).await.expect("done");
        let misfit = TestEvent::message_received().without("inbox_id");
        let error = dispatch(&handlers, misfit).await.expect_err("a misfit");
        assert_eq!(error.to_string(), "`inbox_id` is missing");
    }
}
