//! An agent over HTTP.

use std::{
    collections::VecDeque,
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response},
    serve::Listener,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::in_time;

/// An agent's response to an event. Default: 200.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A status and, if it is not empty, `Retry-After`.
    Status(u16, &'static str),
    /// No response, ever.
    Hang,
    /// 200, once it is notified.
    Wait(Arc<Notify>),
    /// A redirect.
    Redirect(String),
}

/// An event that an agent received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Told = Arc<Mutex<VecDeque<Answer>>>;

pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    told: Told,
    received: mpsc::UnboundedReceiver<Received>,
    sender: mpsc::UnboundedSender<Received>,
    server: Option<JoinHandle<()>>,
}

impl Agent {
    pub(crate) async fn start() -> Self {
        Self::start_with(|listener| listener).await
    }

    /// Starts an agent that listens through a wrapper, such as TLS.
    pub(crate) async fn start_with<L>(listen: impl FnOnce(TcpListener) -> L) -> Self
    where
        L: Listener,
        L::Addr: Debug,
    {
        let (sender, received) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut this = Self { address, told: Told::default(), received, sender, server: None };
        this.serve(listen(listener));
        this
    }

    fn serve<L>(&mut self, listener: L)
    where
        L: Listener,
        L::Addr: Debug,
    {
        let state = (Arc::clone(&self.told), self.sender.clone());
        let app = Router::new().fallback(answer).with_state(state);
        self.server = Some(tokio::spawn(async { axum::serve(listener, app).await.unwrap() }));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mail", self.address)
    }

    pub(crate) fn tell(&self, answers: impl IntoIterator<Item = Answer>) {
        self.told.lock().unwrap().extend(answers);
    }

    pub(crate) async fn next(&mut self) -> Received {
        in_time("the agent gets an event", self.received.recv()).await.unwrap()
    }

    /// Returns whether the test has taken every event that the agent received.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.received.try_recv().is_err()
    }

    /// Stops listening. Each connection closes once it is idle.
    pub(crate) async fn crash(&mut self) {
        let server = self.server.take().unwrap();
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
    }

    /// Listens on its previous port again.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }
}

async fn answer(
    State((told, sender)): State<(Told, mpsc::UnboundedSender<Received>)>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let path = head.uri.path().to_owned();
    let answer = told.lock().unwrap().pop_front();
    let _ = sender.send(Received { path, headers: head.headers, body });
    let mut response = Response::builder();
    match answer {
        None => {}
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Wait(notify)) => notify.notified().await,
        Some(Answer::Redirect(to)) => response = response.status(307).header("location", to),
        Some(Answer::Status(status, retry_after)) => {
            response = response.status(status);
            if !retry_after.is_empty() {
                response = response.header("retry-after", retry_after);
            }
        }
    }
    response.body(Body::empty()).unwrap()
}
