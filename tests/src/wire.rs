//! A server, and HTTP/1 requests written by hand.

use std::{io, net::SocketAddr};

use openmail_tower::{HandlerError, Outcome, VerifiedEvent, webhook};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::service_fn;

use crate::{Seen, layer, signed};

/// Starts a server on a free port, for HTTP/1 and HTTP/2. Returns its address, the events that it
/// sees, and its task.
///
/// # Panics
/// If there is no free port.
pub async fn serve() -> (SocketAddr, Seen, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let events = {
        let seen = seen.clone();
        service_fn(move |event: VerifiedEvent| {
            seen.push(event);
            async { Ok::<_, HandlerError>(Outcome::Done) }
        })
    };
    let app = axum::Router::new().route_service("/webhooks", webhook(layer(), events));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen, server)
}

/// Returns the head of a signed request with the additional header lines `more`, each of which ends
/// with `\r\n`. It asks the server to close the connection after the response.
///
/// # Panics
/// Never: all of its headers are text.
pub fn head(json: &[u8], more: &str) -> Vec<u8> {
    let request = signed(json, ());
    let mut head = "POST /webhooks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".to_owned();
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().expect("text"));
    }
    format!("{head}{more}\r\n").into_bytes()
}

/// Sends raw bytes, and returns the first line of the response; empty if there is none.
///
/// # Panics
/// If it cannot connect.
pub async fn raw(address: SocketAddr, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    // A server that has answered need not read the rest, so a failure to send is not an error.
    let send = async {
        for part in parts {
            if writing.write_all(part).await.is_err() {
                break;
            }
        }
    };
    let (_, _) = tokio::join!(send, reading.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}
