//! A service that records the deliveries that it receives.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::Instant;
use tower::{Service, service_fn};

use super::Answer;

/// A request, and when it was received.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) after: Duration,
    pub(crate) id: String,
    pub(crate) timestamp: u64,
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> HashMap<String, Value> {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Returns a service, and the record of its requests. The service answers each request with what
/// `respond` returns for the number of requests so far.
#[expect(clippy::type_complexity, reason = "the type of a service is complex")]
pub(crate) fn recorder<F: Future<Output = Answer>>(
    respond: impl Fn(usize) -> F + Clone,
) -> (
    impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone,
    Arc<Mutex<Vec<Got>>>,
) {
    let (start, all) = (Instant::now(), Arc::new(Mutex::new(Vec::<Got>::new())));
    let record = Arc::clone(&all);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let (record, respond) = (Arc::clone(&record), respond.clone());
        async move {
            let (parts, body) = request.into_parts();
            assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/webhooks"));
            assert_eq!(parts.headers["content-type"], "application/json");
            let header = |name| parts.headers[name].to_str().expect("text").to_owned();
            let got = Got {
                after: start.elapsed(),
                id: header("x-event-id"),
                timestamp: header("x-timestamp").parse().expect("seconds"),
                signature: header("x-signature"),
                body: body.collect().await.expect("a body").to_bytes(),
            };
            let count = {
                let mut record = record.lock().expect("no panic");
                record.push(got);
                record.len()
            };
            respond(count).await
        }
    });
    (service, all)
}
