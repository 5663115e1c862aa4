//! The whole way of an event, from a signed POST to the handler of its inbox, in one command:
//! `cargo run -p example-quickstart`.
//!
//! Listens on `OPENMAIL_LISTEN` (default `127.0.0.1:3000`) for webhooks signed with
//! `OPENMAIL_WEBHOOK_SECRET`; without a secret it makes one up and delivers an event to itself.

mod demo;
mod handlers;
mod server;
mod shutdown;

use std::{error::Error, io, process::ExitCode};

use axum::Router;
use openmail_tower::{Secret, VerifyLayer, webhook, webhook::SecretErrorKind};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main]
async fn main() -> ExitCode {
    // Logs go to stderr: stdout is for what the handlers did.
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

    let stop = shutdown::signal()?;
    let listener = server::listen().await?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}/webhooks");

    let app = Router::new().route_service("/webhooks", webhook(layer, handlers::events()));
    let demo = async {
        if let Some(secret) = made_up {
            demo::run(address, &secret).await;
        }
    };
    let (served, ()) = tokio::join!(server::serve(listener, app, stop), demo);
    Ok(served?)
}
