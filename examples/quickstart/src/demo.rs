//! Stands in for OpenMail if there is no account: generates a secret and delivers an event signed
//! with it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openmail_tower::{Secret, webhook::signature};

/// Returns a random secret, so that nothing is ever signed with a known one.
pub(crate) fn make_up_secret() -> Result<String, getrandom::Error> {
    Ok(format!("whsec_{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?))
}

/// Delivers one signed event over HTTP, then prints a command that sends another.
pub(crate) async fn run(listening: SocketAddr, secret: &str) {
    tracing::warn!("OPENMAIL_WEBHOOK_SECRET is not set: generated a secret for this run only");
    let url = format!("http://{}/webhooks", reachable(listening));
    tracing::info!("delivering a signed message.received for inb_support to {url}");
    match deliver(&url, secret).await {
        Ok(status) => tracing::info!("answered {status}"),
        Err(error) => tracing::error!("not delivered: {error:?}"),
    }
    eprintln!(
        "\nStill listening; Ctrl-C ends it. To send another from a second terminal:\n\n{}\n",
        curl(&url, secret)
    );
}

/// Returns an address to connect to: not every system can connect to `0.0.0.0` or `[::]`.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn event(id: &str) -> String {
    serde_json::json!({
        "event": "message.received",
        "event_id": id,
        "attempt": 1,
        "inbox_id": "inb_support",
        "thread_id": "thr_quickstart",
        "message": {
            "id": "msg_quickstart",
            "from": "Ada Lovelace <ada@example.com>",
            "to": "support@openmail.sh",
            "subject": "Where is my order?",
            "body_text": "I ordered an engine in 1843.",
        },
    })
    .to_string()
}

async fn deliver(
    url: &str,
    secret: &str,
) -> Result<reqwest::StatusCode, Box<dyn std::error::Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let body = event(&format!("evt_{now}"));
    let signature = signature::sign(&Secret::new(secret)?, now, body.as_bytes());
    // No proxy: it could not reach this machine's loopback.
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?;
    let response = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-Timestamp", now)
        .header("X-Signature", signature)
        .body(body)
        .send()
        .await?;
    Ok(response.status())
}

/// Returns a shell command that signs another event with the current time and sends it.
fn curl(url: &str, secret: &str) -> String {
    let body = event("evt_%s");
    format!(
        "(ts=$(date +%s); body=$(printf '{body}' $ts); \
         sig=$(printf '%s.%s' $ts \"$body\" | openssl dgst -sha256 -hmac {secret} | sed 's/.* //'); \
         curl -sSi --noproxy '*' '{url}' -H 'Content-Type: application/json' \
         -H \"X-Timestamp: $ts\" -H \"X-Signature: $sig\" --data-raw \"$body\")"
    )
}
