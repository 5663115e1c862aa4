//! NATS JetStream as the durable queue: an event is acknowledged once the stream has stored it, and
//! handled afterwards.
//!
//! ```sh
//! nats-server -c examples/jetstream/nats.conf -js -sd DIR # DIR: where the server keeps its files
//! OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-jetstream
//! ```
//!
//! For events of up to 1 MiB, `nats-server -a 127.0.0.1 -js -sd DIR` is enough; without `-sd`, the
//! files are in a temporary directory. Any server since 2.9 will do. Anyone who can publish to
//! `openmail.>` can impersonate OpenMail, since events from the stream are not verified again: if
//! others can reach the server, give it users and permissions.
//!
//! | variable | | default |
//! |---|---|---|
//! | `OPENMAIL_WEBHOOK_SECRET` | the webhook's secret | |
//! | `OPENMAIL_WEBHOOK_SECRET_PREVIOUS` | the previous secret, during a rotation | |
//! | `OPENMAIL_LISTEN` | the address to listen on | `127.0.0.1:3000` |
//! | `NATS_URL` | the server, with user and password if it needs them | `nats://127.0.0.1:4222` |
//!
//! # What is guaranteed
//!
//! | if | the event |
//! |---|---|
//! | NATS is unreachable or full, or does not acknowledge within 5 s | is answered 503; OpenMail retries it, up to five attempts in about 7.5 minutes |
//! | it is delivered again | is answered 200 and not stored again, for 24 hours (`duplicate_window`) after the first delivery. The stream recognises it by inbox and signed `event_id` or, without one, by the mail's `message.id`; an event with neither is stored each time |
//! | the handler fails or panics | runs again after a random time of up to 2 s, 4 s, 8 s … 1 h, and not before the error's `delay`; it is given up after 20 runs. An event that could not run (`HandlerError::unavailable`, `in_flight` or `put_off`) is not given up |
//! | the handler fails permanently, or the message is not an event | is given up at once |
//! | it is given up | is logged as an error with its sequence number in the stream; `nats stream get OPENMAIL NUMBER` shows it |
//! | the handler takes a long time | keeps running: the server is notified every 10 s that the run is in progress |
//! | this process dies, or loses its connection to the server | runs again after 30 s (`ack_wait`), here or in another process, so a handler may run twice. Give every effect that must not happen twice a key, such as `Idempotency-Key: <event_id>` for an answer, or put a `DedupeLayer` around the router |
//! | this process is stopped | is not accepted, and OpenMail retries it. An event whose handler runs has up to 30 s to finish; one that was just being fetched runs again after `ack_wait` |
//! | `nats-server` is killed | is not lost once it was acknowledged: it was written to the file system |
//! | the machine of `nats-server` fails | **may be lost if it was acknowledged in the last two minutes**, since files are only synced that often. Since 2.10, `jetstream { sync_interval: always }` syncs before each acknowledgement; three servers and `num_replicas: 3` help if only one of them fails |
//! | nothing handles it for seven days | is dropped by the stream (`max_age`) |
//!
//! Each process runs up to 16 events at a time, in no particular order: those of one thread may
//! overtake each other.
//!
//! The stream and the consumer are created at the first start and never changed afterwards: change
//! them with `nats stream edit OPENMAIL` and `nats consumer edit OPENMAIL agents`.

use std::{
    env, io,
    process::{self, ExitCode},
};

use anyhow::Context as _;
use example_jetstream::{connect, events, run};
use openmail_tower::VerifyLayer;
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main]
async fn main() -> ExitCode {
    let info = LevelFilter::INFO.into();
    let filter = EnvFilter::builder().with_default_directive(info).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> anyhow::Result<()> {
    let layer = VerifyLayer::from_env()?;
    let url = env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let context = connect(&url).await?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let stopping = stop();
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    run(listener, layer, context, events(), stopping).await
}

/// Completes on the first signal. A second one ends the process at once: the events whose runs it
/// cuts off are still in the stream, and run again, here or in another process.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    let first = signal();
    async {
        first.await;
        // On Unix, this listens for a second signal before the log line asks for one.
        let second = signal();
        tracing::info!(
            "stopping: requests have 15 s to finish, and handlers 30 s; press Ctrl-C again to stop at once"
        );
        tokio::spawn(async move {
            second.await;
            // The status of a program that was ended by Ctrl-C.
            process::exit(130);
        });
    }
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).expect("cannot listen for SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("cannot listen for SIGTERM");
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        tokio::signal::ctrl_c().await.expect("cannot listen for Ctrl-C");
    }
}
