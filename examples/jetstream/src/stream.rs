//! The stream that stores the events, and the consumer that hands them out.

use std::{fmt::Display, time::Duration};

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

/// The consumer's name. Processes that use it share the events.
pub const CONSUMER: &str = "agents";

/// How long an event is kept, whether handled or not.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Maximum size of an event: the body, as accepted by `VerifyLayer` by default, and its headers.
const LARGEST: usize = 8 * 1024 * 1024 + 4096;

/// The configuration for a new stream. An existing one is left as the operator configured it.
pub fn stream_config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["openmail.>".to_owned()],
        storage: StorageType::File,
        // A work queue would forget the ids of finished events when the server restarts.
        retention: RetentionPolicy::Limits,
        max_age: MAX_AGE,
        // OpenMail's attempts spread over about 7.5 minutes; this also covers events that are
        // delivered again by hand.
        duplicate_window: Duration::from_secs(24 * 60 * 60),
        // When full, the stream refuses new events. The other policy would drop old ones, which may
        // not have been handled.
        discard: DiscardPolicy::New,
        num_replicas: 1,
        ..Default::default()
    }
}

/// The configuration for a new consumer. An existing one is left as the operator configured it.
pub fn consumer_config() -> pull::Config {
    pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        // The worker gives events up, and logs that. The server would give them up silently.
        max_deliver: -1,
        // Events that wait for a retry count as pending too: with the server's default limit, a
        // thousand of them would block everything else.
        max_ack_pending: -1,
        ..Default::default()
    }
}

/// Connects, and creates the stream if it does not exist.
///
/// # Errors
/// If the server cannot be reached or refuses the login, or if the stream cannot be opened or
/// created, for example because the server has no JetStream.
pub async fn connect(url: &str) -> anyhow::Result<Context> {
    let client = ConnectOptions::new()
        .name("openmail")
        .connection_timeout(Duration::from_secs(5))
        .connect(url)
        .await
        .map_err(without_sources)
        .context("cannot connect to NATS; start a server, or set NATS_URL to its address")?;
    let largest = client.max_payload();
    if largest < LARGEST {
        tracing::warn!(
            largest,
            "larger events cannot be stored; set max_payload to 9MB in the server's configuration"
        );
    }
    let context = jetstream::new(client);
    context
        .get_or_create_stream(stream_config())
        .await
        .map_err(without_sources)
        .context("cannot open the stream; start the server with JetStream (`-js`)")?;
    Ok(context)
}

/// Returns the consumer, and creates it if it does not exist.
///
/// # Errors
/// If the server cannot be reached, or the stream is gone.
pub async fn consumer(context: &Context) -> anyhow::Result<PullConsumer> {
    let stream = context.get_stream(STREAM).await.map_err(without_sources)?;
    let consumer = stream.get_or_create_consumer(CONSUMER, consumer_config()).await;
    consumer.map_err(without_sources)
}

/// Converts an error of async-nats, without its sources: the error's text already contains their
/// texts, and anyhow would print them again.
pub(crate) fn without_sources(error: impl Display) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}
