//! [`VerifiedEvent`] as an axum extractor.

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{seam::VerifiedEvent, telemetry, webhook::answer::unverified};

/// Extracts the event that [`VerifyLayer`](crate::VerifyLayer) has put into the request's
/// extensions.
impl<S: Send + Sync> FromRequestParts<S> for VerifiedEvent {
    type Rejection = MissingVerifyLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingVerifyLayer> {
        let event = parts.extensions.get::<Self>().cloned();
        if event.is_none() {
            telemetry::unverified();
        }
        event.ok_or(MissingVerifyLayer)
    }
}

/// The rejection when no [`VerifyLayer`](crate::VerifyLayer) wraps the handler.
///
/// The response is 500, since the program is misconfigured. It is sent before the body is read, so
/// a proxy may turn it into a 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was not verified: VerifyLayer is missing")]
#[non_exhaustive]
pub struct MissingVerifyLayer;

impl IntoResponse for MissingVerifyLayer {
    fn into_response(self) -> Response {
        unverified().map(Body::from)
    }
}
