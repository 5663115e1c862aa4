//! Answers requests with the configured faults.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};

use crate::{
    app::App,
    server::Cut,
    state::{Fault, Refusal},
};

pub(super) async fn inject(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_send = request.method() == Method::POST && request.uri().path().ends_with("/send");
    // Reads the faults first, since `change` updates every open page, even if there is no fault to
    // take.
    if app.state.read(|data| data.faults.requests.is_none()) {
        return next.run(request).await;
    }
    match app.state.change(|data| data.faults.take(is_send)) {
        None => next.run(request).await,
        Some(Fault::Cut) => {
            let mut response = next.run(request).await;
            response.extensions_mut().insert(Cut);
            response
        }
        Some(Fault::RateLimit) => Refusal::rate_limit(10, "minute", 1).into_response(),
        Some(Fault::SpendCap) => {
            let message = "Sending is paused: the month's limit is reached.";
            Refusal::new(StatusCode::PAYMENT_REQUIRED, "spend_cap_paused", message).into_response()
        }
        Some(Fault::Internal) => {
            let message = "Something went wrong, as requested.";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
                .into_response()
        }
    }
}
