//! Settings from the environment.

use std::{env, fmt, net::SocketAddr};

use anyhow::{Context as _, bail};
use http::Uri;
use openmail_tower::{Secret, queue::StoreUrl};

/// The settings of the agent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address for webhooks: `OPENMAIL_LISTEN`. Default: `127.0.0.1:3000`.
    pub listen: SocketAddr,
    /// The address of the local OpenMail: `SANDBOX_LISTEN`. Default: `127.0.0.1:4010`. `None` if
    /// `OPENMAIL_API_KEY` is set: the agent then uses OpenMail itself, or the API at
    /// `OPENMAIL_API_URL`.
    pub sandbox: Option<SocketAddr>,
    /// Where mail is kept until it is answered: `AGENT_STORE`. Default: `sqlite:agent.db`.
    pub store: StoreUrl,
    /// The model that answers: `AGENT_MODEL_URL`, `AGENT_MODEL`, `AGENT_MODEL_KEY`. Default: none;
    /// the agent then has a few built-in answers.
    pub model: Option<ModelSettings>,
    /// Whether mail passes a guard before the agent sees it: `AGENT_GUARD`, `on` or `off`. Default:
    /// `on`.
    pub guard: bool,
}

/// An endpoint that supports OpenAI's chat completions API.
#[derive(Clone)]
pub struct ModelSettings {
    /// The URL up to and including the version, such as `https://api.openai.com/v1`.
    pub url: Uri,
    /// The model's name.
    pub model: String,
    /// The key, if the endpoint needs one.
    pub key: Option<String>,
}

impl fmt::Debug for ModelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, model, .. } = self;
        f.debug_struct("ModelSettings")
            .field("url", url)
            .field("model", model)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is invalid; the error names it.
    pub fn from_env() -> anyhow::Result<Self> {
        let sandbox = match variable("OPENMAIL_API_KEY")? {
            Some(_) => None,
            None => {
                // The local OpenMail would reject a bad secret as well, but not name the variable.
                if let Some(secret) = variable("OPENMAIL_WEBHOOK_SECRET")? {
                    Secret::new(secret).context("OPENMAIL_WEBHOOK_SECRET")?;
                }
                Some(address("SANDBOX_LISTEN", 4010)?)
            }
        };
        Ok(Self {
            listen: address("OPENMAIL_LISTEN", 3000)?,
            sandbox,
            store: store()?,
            model: model()?,
            guard: match variable("AGENT_GUARD")?.as_deref() {
                None | Some("on") => true,
                Some("off") => false,
                Some(other) => bail!("AGENT_GUARD is {other:?}; set it to on or off"),
            },
        })
    }
}

/// Returns a variable if it is set and not empty.
pub(crate) fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => bail!("{name} is not Unicode"),
    }
}

fn address(name: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let Some(text) = variable(name)? else { return Ok(([127, 0, 0, 1], port).into()) };
    text.parse().with_context(|| {
        format!("{name} is {text:?}; set it to address:port, such as 127.0.0.1:{port}")
    })
}

fn store() -> anyhow::Result<StoreUrl> {
    let url = variable("AGENT_STORE")?.unwrap_or("sqlite:agent.db".into());
    url.parse().context("AGENT_STORE")
}

fn model() -> anyhow::Result<Option<ModelSettings>> {
    let Some(text) = variable("AGENT_MODEL_URL")? else { return Ok(None) };
    let url: Uri = text.parse().context("AGENT_MODEL_URL is not a URL")?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        bail!("AGENT_MODEL_URL must begin with http:// or https://");
    }
    let model =
        variable("AGENT_MODEL")?.context("AGENT_MODEL_URL is set, but AGENT_MODEL is not")?;
    Ok(Some(ModelSettings { url, model, key: variable("AGENT_MODEL_KEY")? }))
}
