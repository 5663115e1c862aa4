/// Answers what customers ask.
#[openmail_handler(event = "message.received", inbox = "inb_support")]
#[tracing::instrument(skip_all)]
#[allow(clippy::unused_async)]
pub(crate) async fn support(
    mail: &MessageReceived,
    State(agent): State<Agent>,
    headers: Headers<'_>,
) -> Result<(), AgentError> {
    agent.answer(&mail.message).await
}
