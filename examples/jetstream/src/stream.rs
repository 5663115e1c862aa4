//! The stream that keeps the events, and the consumer that hands them out.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{
    ConnectOptions,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, PullConsumer, pull},
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
    },
};

/// The stream's name.
pub const STREAM: &str = "OPENMAIL";

/// The consumer's name: processes that use it share the events among them.
pub const CONSUMER: &str = "agents";

/// How long an event is kept, handled or not.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How large an event may be: the body, as `VerifyLayer` takes it by default, and its headers.
const LARGEST: usize = 8 * 1024 * 1024 + 4096;

/// What the stream is made with, where there is none; whatever an operator changes stays.
pub fn stream_config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["openmail.>".to_owned()],
        storage: StorageType::File,
        // A work queue would forget the ids of events that are done when the server starts anew.
        retention: RetentionPolicy::Limits,
        max_age: MAX_AGE,
        // OpenMail's attempts spread over some 7.5 minutes; this is also for what somebody
        // delivers anew by hand.
        duplicate_window: Duration::from_secs(24 * 60 * 60),
        // When full, it refuses what is new: the other policy drops what may not be handled yet.
        discard: DiscardPolicy::New,
        num_replicas: 1,
        ..Default::default()
    }
}

/// What the consumer is made with, where there is none; whatever an operator changes stays.
pub fn consumer_config() -> pull::Config {
    pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        // The worker gives up, and says so; the server would do it silently.
        max_deliver: -1,
        // What waits for another run is pending, too: with a limit, a thousand of them would keep
        // everything else from being handed out.
        max_ack_pending: -1,
        ..Default::default()
    }
}

/// Connects, and makes the stream if there is none.
///
/// # Errors
/// When the server cannot be reached, or has no JetStream.
pub async fn connect(url: &str) -> anyhow::Result<Context> {
    let client = ConnectOptions::new()
        .name("openmail")
        .connection_timeout(Duration::from_secs(5))
        .connect(url)
        .await
        .context("cannot connect to NATS; start a server, or set NATS_URL to where one is")?;
    let largest = client.max_payload();
    if largest < LARGEST {
        tracing::warn!(
            largest,
            "events of more than these bytes cannot be kept; raise max_payload in the server's \
             configuration to 9MB"
        );
    }
    let context = jetstream::new(client);
    context
        .get_or_create_stream(stream_config())
        .await
        .context("no stream; does the server run with JetStream (`-js`)?")?;
    Ok(context)
}

/// The consumer, made if there is none.
///
/// # Errors
/// When the server cannot be reached, or the stream is gone.
pub async fn consumer(context: &Context) -> anyhow::Result<PullConsumer> {
    let stream = context.get_stream(STREAM).await?;
    Ok(stream.get_or_create_consumer(CONSUMER, consumer_config()).await?)
}
