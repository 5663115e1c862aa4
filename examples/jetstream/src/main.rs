//! NATS JetStream as the durable queue: an event is answered once the stream has it, and handled
//! from there.
//!
//! ```sh
//! nats-server -c examples/jetstream/nats.conf -js -sd DIR # DIR: where it is to keep its files
//! OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-jetstream
//! ```
//!
//! `nats-server -a 127.0.0.1 -js -sd DIR` alone will do for events of up to 1 MiB; without `-sd` the
//! files are in a temporary directory. Any server from 2.9 on. Whoever can publish to `openmail.>`
//! speaks as OpenMail, since what comes from the stream is not verified again: give a server that
//! others reach users and permissions.
//!
//! | variable | | default |
//! |---|---|---|
//! | `OPENMAIL_WEBHOOK_SECRET` | the webhook's secret | |
//! | `OPENMAIL_WEBHOOK_SECRET_PREVIOUS` | the one before, while they change | |
//! | `OPENMAIL_LISTEN` | where to listen | `127.0.0.1:3000` |
//! | `NATS_URL` | the server, with user and password where it wants them | `nats://127.0.0.1:4222` |
//!
//! # What holds
//!
//! | what happens | what becomes of the event |
//! |---|---|
//! | NATS is away or full, or gives no ack in 5 s | answered 503; OpenMail delivers it again, up to five times in some 7.5 minutes |
//! | it is delivered again | answered 200 and not kept again, for 24 hours (`duplicate_window`) after the first. The stream tells by inbox and signed `event_id` (or, without one, the mail's `message.id`); an event with neither is kept each time |
//! | the handler fails or panics | runs again after a random time up to 2 s, 4 s, 8 s … 1 h, and not before the error's `delay`; given up after 20 runs |
//! | the handler fails for good, or the message is no event | given up at once |
//! | it is given up | logged as an error with the number under which the stream has it: `nats stream get OPENMAIL NUMBER` |
//! | the handler takes long | it is left to it: the server is told every 10 s that the run goes on |
//! | this process dies, or the server does not hear of it | runs again 30 s (`ack_wait`) later, here or in another process: a handler may run twice. What it must not do twice needs a key of its own, such as `Idempotency-Key: <event_id>` for an answer, or a `DedupeLayer` around the router |
//! | the process is told to stop | takes no more events, and waits up to 30 s for those under way; what was just on its way to it runs elsewhere after `ack_wait` |
//! | `nats-server` is killed | nothing that was acknowledged is lost: it was written to the file system |
//! | the machine of `nats-server` fails | **what was acknowledged in the last two minutes may be lost**: only so often does it sync its files. From 2.10 on, `jetstream { sync_interval: always }` syncs before each ack; three servers and `num_replicas: 3` help where one of them fails alone |
//! | nobody handles it for seven days | the stream drops it (`max_age`) |
//!
//! Events run up to 16 at a time and in no order: those of one thread may overtake each other.
//!
//! Stream and consumer are made at the first start and left as they are from then on: change them by
//! `nats stream edit OPENMAIL` and `nats consumer edit OPENMAIL agents`.

use std::{env, io, process::ExitCode};

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
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set OPENMAIL_LISTEN to another"))?;
    let stopping = stop();
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    run(listener, layer, context, events(), stopping).await
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. It listens from the call
/// on, so that a signal that comes early is not lost.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).expect("a handler of SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("a handler of SIGTERM");
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        tokio::signal::ctrl_c().await.expect("a handler of Ctrl-C");
    }
}
