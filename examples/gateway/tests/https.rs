//! The built gateway and an agent over TLS.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{fs, io, net::SocketAddr, sync::Arc};

use axum::serve::Listener;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use support::{Agent, Gateway, mail};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // A client that does not trust the certificate hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[tokio::test]
async fn agents_certificate_must_be_trusted() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signed.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut agent = Agent::start_with(|listener| Tls { listener, acceptor }).await;

    let config = format!(
        "max_attempts = 2\n[account]\nsecrets = [\"env:GATEWAY_TEST_ACCOUNT\"]\n\
         [[inbox]]\nid = \"A\"\nurl = \"https://localhost:{}/mail\"\n",
        agent.address.port()
    );
    let mut gateway = Gateway::start(&config).await;
    gateway.deliver(&mail("A", "evt_1")).await;
    let letters = gateway.dead_letters_are(1).await;
    assert!(letters[0][6].contains("certificate"), "{letters:?}");
    gateway.stop().await;

    let certificate = gateway.path("certificate.pem");
    fs::write(&certificate, signed.cert.pem()).unwrap();
    gateway.trusts = Some(certificate);
    gateway.run().await;
    assert!(gateway.dead(&["retry", &letters[0][0]]).await.status.success());
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_1"));
    gateway.stop().await;
}
