//! [`Sandbox`] and its [`Options`].

use std::{
    error::Error,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    app::{App, base_url, made_up},
    control,
    deliverer::Deliverer,
    files::{self, Signer},
    locality, page, server,
    state::{Account, JournalError, Refusal, State},
    text,
};

/// The domain of generated addresses.
const DOMAIN: &str = "sandbox.test";

/// The settings of a sandbox.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The address of the API and the page. Default: `127.0.0.1:4010`.
    pub listen: SocketAddr,
    /// The account's webhook. Default: that of the state file, or else none.
    pub webhook: Option<String>,
    /// The secret of the account's webhook. Default: that of the state file, or else generated.
    pub secret: Option<String>,
    /// The account's API key. Default: that of the state file, or else generated.
    pub api_key: Option<String>,
    /// Inboxes to create at the start. If one already exists, only its webhook is changed. Default:
    /// `inb_support`, if the state file has no inboxes.
    pub inboxes: Vec<InboxOption>,
    /// The factor by which OpenMail's retry schedule is sped up: a finite number greater than 0.
    /// Default: 1.
    pub speed: f64,
    /// The SQLite file that keeps the state. Default: none; the state is lost when the program
    /// ends.
    pub state: Option<PathBuf>,
    /// Whether other machines may use the sandbox. Default: no.
    pub allow_remote: bool,
    /// Whether each inbox may send at most 10 mails a minute and 200 a day. Default: yes.
    pub send_limits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 4010).into(),
            webhook: None,
            secret: None,
            api_key: None,
            inboxes: Vec::new(),
            speed: 1.0,
            state: None,
            allow_remote: false,
            send_limits: true,
        }
    }
}

/// Shows no secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("webhook", &self.webhook)
            .field("inboxes", &self.inboxes)
            .field("speed", &self.speed)
            .field("state", &self.state)
            .field("allow_remote", &self.allow_remote)
            .field("send_limits", &self.send_limits)
            .finish_non_exhaustive()
    }
}

/// An inbox that exists at the start: `ID=address` or `ID=address=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxOption {
    /// The id.
    pub id: String,
    /// The address.
    pub address: String,
    /// The URL of the inbox's own webhook.
    pub webhook: Option<String>,
}

impl std::str::FromStr for InboxOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '=');
        let (Some(id), Some(address)) = (parts.next(), parts.next()) else {
            return Err("write ID=address or ID=address=URL".into());
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if id.is_empty() || !id.chars().all(plain) {
            return Err(
                "an inbox's id must consist of letters, digits, dots, dashes and underscores"
                    .into(),
            );
        }
        if !text::is_address(address) {
            return Err(format!("{address:?} is not an address"));
        }
        let webhook = api::webhook_url(parts.next().map(str::to_owned));
        let webhook = webhook.map_err(|refusal| refusal.message)?;
        Ok(Self { id: id.to_owned(), address: address.to_owned(), webhook })
    }
}

/// Why a sandbox cannot start, or why it failed.
#[derive(Debug)]
pub struct SandboxError {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SandboxError {
    fn listen(address: SocketAddr, error: io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "{address} is in use; stop what listens there, or set SANDBOX_LISTEN (or \
                     --listen of example-sandbox) to another address"
                )
            }
            _ => format!("cannot listen on {address}: {error}"),
        };
        Self { what, source: Some(error.into()) }
    }

    fn state(path: &std::path::Path, error: JournalError) -> Self {
        let what = format!("cannot keep the state in {}: {error}", path.display());
        Self { what, source: Some(error.into()) }
    }

    fn refused(refusal: &Refusal) -> Self {
        Self { what: refusal.message.clone(), source: None }
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for SandboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text of this error already contains that of its source.
        self.source.as_ref().and_then(|source| source.source())
    }
}

/// A local OpenMail that is already listening. [`serve`](Self::serve) makes it respond.
#[derive(Debug)]
pub struct Sandbox {
    app: App,
    api: TcpListener,
    files: TcpListener,
    allow_remote: bool,
    state_file: Option<PathBuf>,
    /// The deliveries that an earlier run left unfinished.
    unfinished: Vec<String>,
}

impl Sandbox {
    /// Opens the state and the ports.
    ///
    /// # Errors
    /// If a port is in use, the state file cannot be read or written, or an option is invalid.
    pub async fn bind(options: Options) -> Result<Self, SandboxError> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            let refusal = Refusal::bad_request("The speed must be a finite number greater than 0.");
            return Err(SandboxError::refused(&refusal));
        }
        let listen = |address| async move {
            let listener = TcpListener::bind(address).await;
            listener.map_err(|error| SandboxError::listen(address, error))
        };
        let api = listen(options.listen).await?;
        // OpenMail serves attachments from another host; the sandbox, from another port.
        let files = listen(SocketAddr::new(options.listen.ip(), 0)).await?;
        let state = match &options.state {
            Some(path) => {
                State::in_file(path).await.map_err(|error| SandboxError::state(path, error))?
            }
            None => State::in_memory(),
        };
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| SandboxError::listen(options.listen, error))
        };
        let app = App {
            deliverer: Deliverer::new(state.clone(), options.speed),
            files: Arc::new(Signer::new(base_url(address(&files)?))),
            notices: Arc::default(),
            api_url: base_url(address(&api)?).into(),
            domain: DOMAIN.into(),
            stop: CancellationToken::new(),
            state,
        };
        set_up(&app, &options).map_err(|refusal| SandboxError::refused(&refusal))?;
        let unfinished = app.state.read(|data| data.unfinished());
        let (allow_remote, state_file) = (options.allow_remote, options.state);
        Ok(Self { app, api, files, allow_remote, state_file, unfinished })
    }

    /// Returns the URL of the API and the page.
    pub fn url(&self) -> &str {
        &self.app.api_url
    }

    /// Returns the account's API key.
    pub fn api_key(&self) -> String {
        self.app.state.read(|data| data.account().api_key.clone())
    }

    /// Returns the secret of the account's webhook.
    pub fn webhook_secret(&self) -> String {
        self.app.state.read(|data| data.account().webhook_secret.clone())
    }

    /// Returns the shell commands that set the variables of a receiver: the API's URL, the API key
    /// and the webhook secret.
    pub fn exports(&self) -> String {
        text::exports(self.url(), &self.api_key(), &self.webhook_secret())
    }

    /// Returns the ids and addresses of the inboxes.
    pub fn inboxes(&self) -> Vec<(String, String)> {
        let pair = |inbox: &crate::state::Inbox| (inbox.id.clone(), inbox.address.clone());
        self.app.state.read(|data| data.inboxes().into_iter().map(pair).collect())
    }

    /// Receives a mail, as if somebody had sent it.
    ///
    /// # Errors
    /// If `from` is not an address, or no inbox has the address `to`.
    pub fn receive(
        &self,
        from: &str,
        to: &str,
        subject: &str,
        text: &str,
    ) -> Result<(), SandboxError> {
        let mail = control::Outside {
            from: from.to_owned(),
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            category: Some("personal".to_owned()),
            verdict: Some("clean".to_owned()),
            auto_replyable: Some(true),
            ..control::Outside::default()
        };
        mail.send(&self.app).map(drop).map_err(|refusal| SandboxError::refused(&refusal))
    }

    /// Serves until `stop`, then finishes the requests in progress, within 5 s, and stops the
    /// deliveries.
    ///
    /// # Errors
    /// If the state file cannot be written.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), SandboxError> {
        let Self { app, api, files, allow_remote, state_file, unfinished } = self;
        app.deliverer.start(unfinished);
        let main = Router::new()
            .merge(api::router(app.clone()))
            .merge(control::router(app.clone()))
            .merge(page::router(app.clone()))
            .fallback(api::not_found);
        let main = locality::guard(main, allow_remote);
        let downloads = locality::guard(files::router(app.clone()), allow_remote);
        let token = app.stop.clone();
        let ends = async {
            stop.await;
            token.cancel();
        };
        tokio::join!(
            ends,
            server::serve(api, main, token.clone()),
            server::serve(files, downloads, token.clone()),
        );
        app.deliverer.shut_down().await;
        match (app.state.close().await, state_file) {
            (Err(error), Some(path)) => Err(SandboxError::state(&path, error)),
            _ => Ok(()),
        }
    }
}

/// Creates the account, the default pod and the inboxes that are missing, and applies the options.
fn set_up(app: &App, options: &Options) -> Result<(), Refusal> {
    app.state.change(|data| {
        data.faults.send_limits = options.send_limits;
        let mut account = match data.has_account() {
            true => data.account().clone(),
            false => Account {
                id: "account".to_owned(),
                api_key: made_up("om"),
                webhook_url: None,
                webhook_secret: made_up("whsec"),
            },
        };
        if let Some(url) = &options.webhook {
            account.webhook_url = api::webhook_url(Some(url.clone()))?;
        }
        if let Some(secret) = &options.secret {
            account.webhook_secret.clone_from(secret);
        }
        if let Some(key) = &options.api_key {
            account.api_key.clone_from(key);
        }
        data.set_account(account)?;
        if data.pods().next().is_none() {
            data.create_pod(None, Some("Default".to_owned()))?;
        }
        let support = || InboxOption {
            id: "inb_support".to_owned(),
            address: format!("support@{DOMAIN}"),
            webhook: None,
        };
        let mut wanted = options.inboxes.clone();
        if wanted.is_empty() && data.inboxes().is_empty() {
            wanted.push(support());
        }
        for InboxOption { id, address, webhook } in wanted {
            if data.inbox(&id).is_ok() {
                if webhook.is_some() {
                    data.set_webhook(&id, webhook, made_up("whsec"))?;
                }
                continue;
            }
            let webhook = webhook.map(|url| (url, made_up("whsec")));
            data.create_inbox(Some(id), None, address, None, webhook)?;
        }
        Ok(())
    })
}
