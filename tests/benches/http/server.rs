//! The servers: axum with hyper's defaults.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use axum::{Router, routing::post};
use bytes::Bytes;
use openmail_tests::secret;
use openmail_tower::{EventRouter, MessageReceived, VerifyLayer, openmail_handler, webhook};

/// Reads the body and answers 200.
pub(crate) const PLAIN: &str = "plain";
/// Verifies, parses, routes, and answers 200.
pub(crate) const OURS: &str = "ours";

#[openmail_handler(event = "message.received")]
async fn handler(mail: &MessageReceived) {
    std::hint::black_box(mail);
}

/// Serves until it is killed. Prints its address first.
pub(crate) fn serve(name: &str) {
    let app = match name {
        OURS => {
            let events = EventRouter::new().handler(handler);
            Router::new().route_service("/webhooks", webhook(VerifyLayer::new(secret()), events))
        }
        _ => Router::new().route("/webhooks", post(|_: Bytes| async {})),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        axum::serve(listener, app).await.expect("a server");
    });
}

/// A server process, killed on drop.
pub(crate) struct Server {
    process: Child,
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(name: &'static str) -> Self {
        let mut process = Command::new(env::current_exe().expect("this program"))
            .arg(name)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("its address");
        Self { process, name, address: line.trim().parse().expect("an address") }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("a child process");
        self.process.wait().expect("a child process");
    }
}
