//! Signatures made by another implementation, checked by the functions and by the layer.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use openmail_tests::inner;
use openmail_tower::{
    Secret, VerifyLayer,
    webhook::signature::{DEFAULT_TOLERANCE, sign, verify_at},
};
use tower::{Layer, ServiceExt};

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    secret: String,
    timestamp: String,
    body_hex: String,
    signature: String,
    now: u64,
    accept: bool,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../vectors/signature.json")).unwrap();
    assert_eq!(vectors.len(), 84);
    vectors
}

#[test]
fn every_verdict_matches_the_vectors() {
    for Vector { name, secret, timestamp, body_hex, signature, now, accept } in vectors() {
        let secret = Secret::new(secret).unwrap();
        let body = hex::decode(body_hex).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let verdict =
            verify_at(&secret.into(), timestamp, signature, &body, now, DEFAULT_TOLERANCE);
        assert_eq!(verdict.is_ok(), accept, "{name}: {verdict:?}");
    }
}

#[test]
fn signing_matches_the_vectors() {
    for Vector { name, secret, timestamp, body_hex, signature, accept, .. } in vectors() {
        if accept {
            let secret = Secret::new(secret).unwrap();
            let body = hex::decode(body_hex).unwrap();
            let ours = sign(&secret, timestamp.parse().unwrap(), &body);
            assert_eq!(ours, signature.to_lowercase(), "{name}");
        }
    }
}

#[tokio::test]
async fn every_verdict_of_the_layer_matches_the_vectors() {
    for Vector { name, secret, timestamp, body_hex, signature, now, accept } in vectors() {
        let (inner, _) = inner();
        let service = VerifyLayer::new(Secret::new(secret).unwrap())
            .clock(move || UNIX_EPOCH + Duration::from_secs(now))
            .layer(inner);
        let header = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let request = Request::post("/")
            .header("x-timestamp", header(&timestamp))
            .header("x-signature", header(&signature))
            .body(Full::new(Bytes::from(hex::decode(body_hex).unwrap())))
            .unwrap();
        let status = service.oneshot(request).await.unwrap().status();
        // A body that verifies is rejected only if it is not an event, as most of these are not.
        let verified = [StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY].contains(&status);
        let rejected = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&status);
        assert_eq!((verified, rejected), (accept, !accept), "{name}: {status}");
    }
}
