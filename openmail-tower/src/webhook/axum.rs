//! [`VerifiedEvent`] as an axum extractor.

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{seam::VerifiedEvent, telemetry, webhook::answer::unverified};

/// Takes the event that [`VerifyLayer`](crate::VerifyLayer) has left in the request's extensions.
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

/// There is no [`VerifyLayer`](crate::VerifyLayer) around the handler: answered 500, since what has
/// not been verified is refused whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was not verified: VerifyLayer is missing")]
#[non_exhaustive]
pub struct MissingVerifyLayer;

impl IntoResponse for MissingVerifyLayer {
    fn into_response(self) -> Response {
        unverified().map(Body::from)
    }
}
