//! The gRPC service.

use futures_util::{StreamExt, stream};
use openmail_tower::VerifiedEvent;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, codegen::BoxStream};

use crate::{
    hub::Hub,
    proto::{Event, SubscribeRequest, agents_server::Agents},
};

#[derive(Debug)]
pub(crate) struct AgentsService {
    hub: Hub,
}

impl AgentsService {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
    }
}

fn over() -> Status {
    Status::unavailable("the subscription is over: subscribe again")
}

#[tonic::async_trait]
impl Agents for AgentsService {
    type SubscribeStream = BoxStream<Event>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<BoxStream<Event>>, Status> {
        let inbox = request.into_inner().inbox_id;
        tracing::info!(inbox, "an agent subscribes");
        let events = self.hub.subscribe(inbox.into()).ok_or_else(over)?;
        let events = ReceiverStream::new(events).map(|event| Ok(message(&event)));
        Ok(Response::new(Box::pin(events.chain(stream::once(async { Err(over()) })))))
    }
}

fn message(event: &VerifiedEvent) -> Event {
    Event {
        event: event.kind().as_str().to_owned(),
        event_id: event.event_id().map(ToString::to_string),
        json: event.raw_body().clone(),
    }
}
