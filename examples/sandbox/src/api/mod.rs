//! The REST API, `/v1`.

mod attachments;
mod error;
mod extract;
mod faults;
mod inboxes;
mod keys;
mod mail;
mod pods;
mod send;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use http::StatusCode;
use tower_http::timeout::TimeoutLayer;

use crate::{app::App, state::Refusal};

pub(crate) use extract::{Json, new_file};
pub(crate) use inboxes::webhook_url;

/// Maximum size of a request that cannot have files, in bytes.
const BODY_LIMIT: usize = 4 << 20;
/// Maximum size of a request that may have files, in bytes: OpenMail accepts 25 MB of files.
pub(crate) const FILES_LIMIT: usize = 26 << 20;
/// The maximum time for a request.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn router(app: App) -> Router {
    let send = post(send::send).layer(DefaultBodyLimit::max(FILES_LIMIT));
    Router::new()
        .route("/v1/pods", get(pods::list).post(pods::create))
        .route("/v1/pods/{id}", get(pods::show).patch(pods::update).delete(pods::remove))
        .route("/v1/pods/{id}/api-keys", get(keys::of_pod).post(keys::create_for_pod))
        .route("/v1/pods/{id}/api-keys/{key}", delete(keys::revoke_of_pod))
        .route("/v1/inboxes", get(inboxes::list).post(inboxes::create))
        .route(
            "/v1/inboxes/{id}",
            get(inboxes::show).patch(inboxes::update).delete(inboxes::remove),
        )
        .route("/v1/inboxes/{id}/api-keys", get(keys::of_inbox).post(keys::create_for_inbox))
        .route("/v1/inboxes/{id}/api-keys/{key}", delete(keys::revoke_of_inbox))
        .route("/v1/inboxes/{id}/webhook/rotate-secret", post(inboxes::rotate_secret))
        .route("/v1/inboxes/{id}/webhook/test", post(inboxes::test_webhook))
        .route("/v1/inboxes/{id}/send", send)
        .route("/v1/inboxes/{id}/messages", get(mail::messages))
        .route("/v1/inboxes/{id}/threads", get(mail::threads))
        .route("/v1/threads/{id}", patch(mail::update_thread))
        .route("/v1/threads/{id}/messages", get(mail::thread_messages))
        .route("/v1/attachments/{message}/{filename}", get(attachments::redirect))
        .route("/v1/attachments/{message}/{filename}/text", get(attachments::text))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIME_LIMIT))
        .layer(middleware::map_response(error::in_form))
        .layer(middleware::from_fn_with_state(app.clone(), faults::inject))
        .layer(middleware::from_fn_with_state(app.clone(), saved))
        .with_state(app)
}

/// Delays the response to a request that may change something until its changes are in the state
/// file.
pub(crate) async fn saved(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = request.method().is_safe();
    let response = next.run(request).await;
    if !reads && app.state.saved().await.is_err() {
        let message = "The state file cannot be written.";
        let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message);
        return refusal.into_response();
    }
    response
}

async fn method_not_allowed() -> Refusal {
    let message = "The resource does not support this method.";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// The response for a path that does not exist.
pub(crate) async fn not_found() -> Refusal {
    Refusal::not_found("resource")
}
