//! The state shared by all request handlers.

use std::{fmt, net::SocketAddr, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use crate::{
    deliverer::Deliverer,
    files::Signer,
    notices::Notices,
    state::{Incoming, Refusal, State},
};

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) state: State,
    pub(crate) deliverer: Deliverer,
    pub(crate) files: Arc<Signer>,
    pub(crate) notices: Arc<Notices>,
    /// The URL of the API and the page, without a slash at the end.
    pub(crate) api_url: Arc<str>,
    /// The domain of generated addresses.
    pub(crate) domain: Arc<str>,
    pub(crate) stop: CancellationToken,
}

impl App {
    /// Receives a mail and starts its deliveries. Returns the ids of the resulting mails, one for
    /// each inbox.
    pub(crate) fn receive(&self, incoming: Incoming) -> Result<Vec<String>, Refusal> {
        let (mails, deliveries) = self.state.change(|data| {
            let mails = data.receive(incoming)?;
            let plan = |mail: &String| data.plan_mail(mail, &self.api_url);
            let deliveries: Vec<_> = mails.iter().flat_map(plan).collect();
            Ok::<_, Refusal>((mails, deliveries))
        })?;
        self.deliverer.start(deliveries);
        Ok(mails)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("api_url", &self.api_url).finish_non_exhaustive()
    }
}

/// Returns `prefix` and 32 hex digits that nobody can guess, for an API key or a webhook secret.
pub(crate) fn made_up(prefix: &str) -> String {
    let bytes = random();
    format!("{prefix}_{}", hex::encode(&bytes[..16]))
}

pub(crate) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

/// Returns the base URL for a socket. `0.0.0.0` and `[::]` are replaced, since not every system can
/// connect to them.
pub(crate) fn base_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

pub(crate) fn mac(key: &[u8; 32], parts: &[&str]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part.as_bytes());
        mac.update(b"\n");
    }
    mac
}
