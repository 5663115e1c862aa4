//! `VerifiedEvent` as an axum extractor.

use axum::{Router, body::Body, routing::post};
use openmail_tests::{error_code, fixture, layer, signed};
use openmail_tower::VerifiedEvent;
use tower::ServiceExt;

async fn inbox(event: VerifiedEvent) -> String {
    event.inbox_id().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn extracts_the_event_behind_the_layer() {
    let json = fixture("message.received");
    let app = Router::new().route("/webhooks", post(inbox).layer(layer()));
    let response = app.oneshot(signed(&json, Body::from(json.clone()))).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    assert_eq!(body, "inb_92ma0001");
}

#[tokio::test]
async fn rejection_names_the_missing_layer() {
    let json = fixture("message.received");
    let app = Router::new().route("/webhooks", post(inbox));
    let response = app.oneshot(signed(&json, Body::from(json.clone()))).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(error_code(response).await, "missing_layer");
}
