//! The whole path of an event, from a signed POST to the handler of its inbox, in one command:
//! `cargo run -p example-quickstart`.
//!
//! Listens on `OPENMAIL_LISTEN` (default: `127.0.0.1:3000`) for webhooks signed with
//! `OPENMAIL_WEBHOOK_SECRET`. Without a secret, it generates one and delivers an event to itself.

mod demo;
mod handlers;

use std::{env, error::Error, io, process::ExitCode, time::Duration};

use axum::Router;
use openmail_tower::{Secret, VerifyLayer, webhook, webhook::SecretErrorKind};
use tokio::{net::TcpListener, time::sleep};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Maximum time for requests in progress to finish once the server is stopping: `Endpoint` answers
/// within 12 s.
const GRACE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    // Logs go to stderr: stdout is for the handlers' output.
    let info = LevelFilter::INFO.into();
    let filter = EnvFilter::builder().with_default_directive(info).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (layer, made_up) = match VerifyLayer::from_env() {
        Ok(layer) => (layer, None),
        Err(error) if error.kind() == SecretErrorKind::Unset => {
            let secret = demo::make_up_secret()?;
            (VerifyLayer::new(Secret::new(&secret)?), Some(secret))
        }
        Err(error) => return Err(error.into()),
    };

    let listener = listen().await?;
    let address = listener.local_addr()?;
    let (stopping, grace) = (stop(), stop());
    tracing::info!("listening on http://{address}/webhooks");

    let app = Router::new().route_service("/webhooks", webhook(layer, handlers::events()));
    let server = axum::serve(listener, app).with_graceful_shutdown(stopping);
    let demo = async {
        if let Some(secret) = made_up {
            demo::run(address, &secret).await;
        }
    };
    let serve = async {
        tokio::select! {
            served = server => served,
            // A client that never finishes its request must not prevent the program from ending.
            () = async { grace.await; sleep(GRACE).await } => Ok(()),
        }
    };
    let (served, ()) = tokio::join!(serve, demo);
    Ok(served?)
}

/// Binds `OPENMAIL_LISTEN`. An error says what to change.
async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let address = env::var_os("OPENMAIL_LISTEN").unwrap_or_else(|| "127.0.0.1:3000".into());
    let address = address.to_string_lossy();
    let bound = match address.split_once(':') {
        Some((host, _)) if !host.is_empty() => TcpListener::bind(&*address).await,
        _ => Err(io::Error::other("not host:port")),
    };
    bound.map_err(|error| {
        let address = address.escape_debug();
        let text = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "{address} is in use; stop what listens there, or set OPENMAIL_LISTEN to another \
                 host:port"
            ),
            _ => format!(
                "cannot listen on `{address}` ({error}); set OPENMAIL_LISTEN to host:port, such as \
                 127.0.0.1:3000"
            ),
        };
        text.into()
    })
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn stop() -> impl Future<Output = ()> + Send + 'static {
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
