//! Verification alone, in a framework without tower: actix-web passes the headers and the body to
//! `VerifiedEvent::verify`.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-verify_only`

#[cfg(test)]
mod tests;

use std::{env, io, net::TcpListener, process::ExitCode, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::StatusCode,
    rt::time::timeout,
    web::{self, Bytes, Data, Payload},
};
use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use openmail_tower::{
    Event, Secrets, VerifiedEvent,
    webhook::{Rejection, RejectionKind},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The maximum size of a body, the same as that of `VerifiedEvent::verify`.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The maximum time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum time for requests to finish after SIGTERM, in seconds. After Ctrl-C, actix-web ends
/// at once.
const GRACE: u64 = 15;

#[actix_web::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let secrets = Secrets::from_env()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    serve(listener, secrets)?.await?;
    Ok(())
}

/// Serves the webhook until Ctrl-C or SIGTERM, which actix-web listens for.
fn serve(listener: TcpListener, secrets: Secrets) -> io::Result<Server> {
    let secrets = Data::new(secrets);
    let app = move || {
        let webhook = web::resource("/webhooks")
            .route(web::post().to(webhook))
            // `App::route` would answer another method with 404, as if the path did not exist.
            .default_service(web::to(wrong_method));
        App::new().app_data(secrets.clone()).service(webhook)
    };
    Ok(HttpServer::new(app).listen(listener)?.shutdown_timeout(GRACE).run())
}

async fn webhook(request: HttpRequest, body: Payload, secrets: Data<Secrets>) -> HttpResponse {
    let verified = match read(body).await {
        Ok(body) => VerifiedEvent::verify(&secrets, &headers(&request), body),
        Err(rejection) => Err(rejection),
    };
    match verified {
        Ok(event) => {
            receive(&event);
            HttpResponse::Ok().finish()
        }
        Err(rejection) => {
            let error: &dyn std::error::Error = &rejection;
            tracing::warn!(code = rejection.code(), error, "request rejected");
            answer(&rejection.to_response())
        }
    }
}

async fn wrong_method() -> HttpResponse {
    answer(&Rejection::from(RejectionKind::MethodNotAllowed).to_response())
}

/// The agent's work starts here. OpenMail retries unless it gets a 2xx within 15 s.
fn receive(event: &VerifiedEvent) {
    match event.event() {
        Event::MessageReceived(mail) => {
            tracing::info!(inbox_id = %mail.inbox_id, message_id = %mail.message.id, "mail");
        }
        // Suspensions, reactivations, "Test webhook", unknown events, and mails that do not fit
        // their type. To have OpenMail retry such a mail, answer 422.
        _ => tracing::info!(kind = %event.kind(), "other event"),
    }
}

async fn read(body: Payload) -> Result<Bytes, Rejection> {
    match timeout(BODY_TIMEOUT, body.to_bytes_limited(BODY_LIMIT)).await {
        Err(_) => Err(RejectionKind::BodyTimeout.into()),
        Ok(Err(_)) => Err(RejectionKind::BodyTooLarge.into()),
        Ok(Ok(Err(_))) => Err(RejectionKind::BodyIncomplete.into()),
        Ok(Ok(Ok(body))) => Ok(body),
    }
}

/// Converts actix-web's headers to those of `http` 1. Keeps all values of a header, so that a
/// header given twice is rejected later.
fn headers(request: &HttpRequest) -> HeaderMap {
    let headers = request.headers().iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    headers.collect()
}

/// Converts a response to actix-web's types.
fn answer(response: &Response<Bytes>) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16());
    let mut builder = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in response.headers() {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    builder.body(response.body().clone())
}
