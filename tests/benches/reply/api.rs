//! An API that answers at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::{Path, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{get, post},
};
use bytes::Bytes;
use tokio::net::TcpListener;

pub(crate) const NAME: &str = "api";

type Accepted = Arc<AtomicUsize>;

/// Serves until it is killed. Prints its address first.
pub(crate) async fn serve() {
    let app = Router::new()
        .route("/v1/threads/{id}/messages", get(thread))
        .route("/v1/inboxes/{id}/send", post(send))
        .route("/accepted", get(accepted))
        .with_state(Accepted::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("a server");
}

/// Each thread has one mail, whose id is the thread's.
async fn thread(Path(id): Path<String>) -> impl IntoResponse {
    let body = format!(
        r#"{{"threadId":"{id}","subject":"s","isRead":false,"data":[{{"id":"{id}","threadId":"{id}",
        "direction":"inbound","fromAddr":"ada@example.com","toAddr":"agent@example.org","subject":"s",
        "bodyText":"Hello.","createdAt":"2024-03-21T10:05:00Z","attachments":[]}}]}}"#
    );
    ([(CONTENT_TYPE, "application/json")], body)
}

async fn send(State(accepted): State<Accepted>, _: Bytes) -> impl IntoResponse {
    accepted.fetch_add(1, Ordering::Relaxed);
    let body = r#"{"messageId":"msg_sent","threadId":"thr_1","status":"sent"}"#;
    ([(CONTENT_TYPE, "application/json")], body)
}

async fn accepted(State(accepted): State<Accepted>) -> String {
    accepted.load(Ordering::Relaxed).to_string()
}
