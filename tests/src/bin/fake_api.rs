//! A fake of OpenMail's REST API that misbehaves on command.
//!
//! It prints its address and serves until its standard input ends. It records every request that an
//! API client sends. It is controlled through requests under `/_test/`:
//!
//! - `POST /_test/faults`: adds faults for requests to send a mail, each for `times` requests or
//!   for all
//! - `POST /_test/routes`: sets responses for paths, which replace its own
//! - `POST /_test/revoke`: refuses requests with this API key from now on
//! - `POST /_test/messages`: adds messages to threads
//! - `POST /_test/forget`: forgets idempotency keys, as OpenMail does after 24 h
//! - `GET /_test/requests`: lists the requests received

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Either, Full, channel::Channel};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use openmail_tests::fake_api::{Fault, Route, Seen};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener, time::sleep};

type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;
type Answer = io::Result<Response<Body>>;

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    routes: HashMap<String, Route>,
    /// The `Authorization` headers that are refused.
    revoked: HashSet<String>,
    threads: HashMap<String, Vec<Value>>,
    /// What was accepted with each key: the body, and the response.
    keys: HashMap<String, (Bytes, Value)>,
    requests: Vec<Seen>,
}

type Shared = Arc<Mutex<State>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let shared = Shared::default();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                // An error of the service closes the connection without a response.
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    };
    tokio::select! {
        end = accepting => end,
        end = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await } => end.map(drop),
    }
}

async fn answer(shared: Shared, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    if let Some(command) = path.strip_prefix("/_test/") {
        return Ok(controlled(&shared, command, &body));
    }
    let header = |name: &str| text(&head.headers, name);
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        authorization: header(AUTHORIZATION.as_str()),
        key: header("idempotency-key"),
        content_type: header("content-type"),
        body: String::from_utf8_lossy(&body).into_owned(),
        accepted: false,
    };
    let (number, is_revoked) = {
        let mut state = shared.lock().unwrap();
        let is_revoked = seen.authorization.as_ref().is_some_and(|it| state.revoked.contains(it));
        state.requests.push(seen);
        (state.requests.len() - 1, is_revoked)
    };
    if is_revoked {
        return Ok(refusal(401, "unauthorized"));
    }
    let route = shared.lock().unwrap().routes.get(&path).cloned();
    if let Some(route) = route {
        return Ok(routed(route));
    }
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (&head.method, &segments[..]) {
        (&Method::POST, ["v1", "inboxes", inbox, "send"]) => {
            let key = header("idempotency-key");
            send(&shared, inbox, key, &body, number).await
        }
        (&Method::GET, ["v1", "threads", thread, "messages"]) => {
            let messages = shared.lock().unwrap().threads.get(*thread).cloned();
            Ok(messages.map_or_else(
                || refusal(404, "not_found"),
                |data| {
                    reply(
                        200,
                        &json!({"threadId": thread, "subject": "s", "isRead": false, "data": data}),
                    )
                },
            ))
        }
        (&Method::PATCH, ["v1", "threads", _]) => Ok(reply(200, &json!({"ok": true}))),
        _ => Ok(refusal(404, "not_found")),
    }
}

fn controlled(shared: &Shared, command: &str, body: &[u8]) -> Response<Body> {
    let mut state = shared.lock().unwrap();
    let state = &mut *state;
    match command {
        "faults" => state.faults.extend(read::<Vec<Fault>>(body)),
        "routes" => state.routes.extend(read::<HashMap<String, Route>>(body)),
        "messages" => {
            for (thread, messages) in read::<HashMap<String, Vec<Value>>>(body) {
                state.threads.entry(thread).or_default().extend(messages);
            }
        }
        "revoke" => drop(state.revoked.insert(format!("Bearer {}", read::<String>(body)))),
        "forget" => state.keys.clear(),
        "requests" => return reply(200, &json!(state.requests)),
        _ => return refusal(404, "not_found"),
    }
    reply(200, &json!({}))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).expect("a command")
}

async fn send(
    shared: &Shared,
    inbox: &str,
    key: Option<String>,
    body: &Bytes,
    number: usize,
) -> Answer {
    let fault = take_fault(&mut shared.lock().unwrap(), inbox);
    let accepts = fault.as_ref().is_none_or(|fault| fault.accept);
    let answer = match key {
        None => refusal(400, "missing_idempotency_key"),
        Some(key) if accepts => accept(&mut shared.lock().unwrap(), &key, body, number),
        Some(_) => refusal(500, "internal"),
    };
    let Some(fault) = fault else { return Ok(answer) };
    sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.status {
        _ if fault.cut => Err(io::Error::other("cut")),
        None => Ok(answer),
        Some(status) => {
            let mut answer = Response::new(Either::Left(Full::from(fault.body)));
            *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
            set(answer.headers_mut(), &fault.headers);
            Ok(answer)
        }
    }
}

fn take_fault(state: &mut State, inbox: &str) -> Option<Fault> {
    let matches = |fault: &Fault| fault.inbox.as_deref().is_none_or(|it| it == inbox);
    let at = state.faults.iter().position(matches)?;
    let fault = &mut state.faults[at];
    let taken = fault.clone();
    if let Some(times) = &mut fault.times {
        *times -= 1;
        if *times == 0 {
            state.faults.remove(at);
        }
    }
    // A fault without an effect lets its requests through.
    Some(taken).filter(|fault| !fault.is_none())
}

/// Accepts one mail for each key, as OpenMail does.
fn accept(state: &mut State, key: &str, body: &Bytes, number: usize) -> Response<Body> {
    if let Some((first, answer)) = state.keys.get(key) {
        if first != body {
            return refusal(409, "idempotency_conflict");
        }
        return reply(200, answer);
    }
    let answer = json!({"messageId": format!("out_{number}"), "status": "pending"});
    state.keys.insert(key.to_owned(), (body.clone(), answer.clone()));
    // A sent mail appears in its thread.
    let mail: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(messages) = mail["threadId"].as_str().and_then(|it| state.threads.get_mut(it)) {
        messages.push(json!({
            "id": answer["messageId"], "direction": "outbound", "bodyText": mail["body"],
            "createdAt": jiff::Timestamp::now().to_string(), "status": "sent",
        }));
    }
    state.requests[number].accepted = true;
    reply(200, &answer)
}

fn routed(route: Route) -> Response<Body> {
    let body = Bytes::from(route.body);
    let mut answer = if route.stall {
        let (mut sender, channel) = Channel::new(1);
        tokio::spawn(async move {
            let _ = sender.send_data(body).await;
            // Nothing more is sent for as long as the client waits.
            sleep(Duration::from_secs(3600)).await;
        });
        Response::new(Either::Right(channel))
    } else {
        Response::new(Either::Left(Full::from(body)))
    };
    *answer.status_mut() = StatusCode::from_u16(route.status).expect("a status");
    set(answer.headers_mut(), &route.headers);
    answer
}

fn set(headers: &mut HeaderMap, from: &HashMap<String, String>) {
    for (name, value) in from {
        let name: http::HeaderName = name.parse().expect("a header's name");
        headers.insert(name, value.parse().expect("a header's value"));
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    reply(status, &json!({"error": code, "message": "no"}))
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    let mut answer = Response::new(Either::Left(Full::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}
