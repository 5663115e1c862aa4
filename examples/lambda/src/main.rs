//! A webhook on AWS Lambda, behind API Gateway or a function URL.
//!
//! Build it with `cargo lambda build --release -p example-lambda`. Set `OPENMAIL_WEBHOOK_SECRET`
//! and, to run each event once, `REDIS_URL`. Set the function's timeout to 15 s; Lambda's default
//! is 3 s.
//!
//! Locally, `cargo lambda watch` imitates a function URL:
//! `http://127.0.0.1:9000/lambda-url/example-lambda`.
//!
//! A handler must finish before the response, since Lambda freezes the process afterwards. For the
//! same reason, a queue's `Worker` does not belong here. `Endpoint` answers within 12 s: OpenMail
//! hangs up after 15 s, and API Gateway gives up on a function after 29 s (REST API) or 30 s (HTTP
//! API). For longer work, use a service that invokes another function (SQS, Step Functions), or a
//! long-running program (`example-durable`).

use std::{env, error::Error, io, process::ExitCode};

use openmail_tower::{
    Endpoint, EventRouter, MessageReceived, VerifyLayer,
    layers::dedupe::{DedupeLayer, RedisStore},
    openmail_handler,
};
use tower::{Layer, util::option_layer};
use tracing_subscriber::EnvFilter;

#[openmail_handler(event = "message.received")]
async fn receive(mail: &MessageReceived) {
    tracing::info!(inbox_id = %mail.inbox_id, message_id = %mail.message.id, "mail received");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // CloudWatch adds the time.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let text = "AWS_LAMBDA_RUNTIME_API is not set: this program runs inside AWS Lambda; \
                    locally, `cargo lambda watch` imitates it";
        return Err(text.into());
    }
    let dedupe = match env::var("REDIS_URL") {
        Ok(url) => {
            let store = RedisStore::connect(&url).map_err(|error| format!("REDIS_URL: {error}"))?;
            Some(DedupeLayer::new(store))
        }
        Err(_) => None,
    };
    let events = option_layer(dedupe).layer(EventRouter::new().handler(receive));
    let webhook = VerifyLayer::from_env()?.layer(Endpoint::new(events));
    lambda_http::run(webhook).await
}
