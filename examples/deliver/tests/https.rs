//! Delivers over TLS, to a server whose certificate is trusted or not.

mod common;

use std::{fs, future::ready, path::PathBuf, sync::Arc};

use common::{SECRET, app, layer, run_with};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use openmail_tower::Outcome;
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves with a self-signed certificate. Returns the URL, and the certificate's file.
async fn serve() -> (String, PathBuf) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("certificate.pem");
    fs::write(&path, signed.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(signed.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/webhooks", listener.local_addr().unwrap().port());
    let app = app(layer(), |_| ready(Ok(Outcome::Done)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, path)
}

#[tokio::test]
async fn certificate_must_be_trusted() {
    let (url, certificate) = serve().await;
    let arguments = ["--url", &url, "--secret", SECRET, "--speed", "100000"];
    let trusted = run_with(arguments, ("SSL_CERT_FILE", certificate.to_str().unwrap())).await;
    assert!(trusted.status.success(), "{trusted:?}");

    let arguments = ["check", "--url", &url, "--secret", SECRET];
    let trusted = run_with(arguments, ("SSL_CERT_FILE", certificate.to_str().unwrap())).await;
    assert!(trusted.status.success(), "{trusted:?}");
    let unknown = run_with(arguments, ("SSL_CERT_FILE", "/dev/null")).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(unknown.stdout.contains("WRONG reachable: "), "{unknown:?}");
    assert!(unknown.stdout.contains("certificate"), "{unknown:?}");
}
