//! The command line.

use std::{env, net::SocketAddr, path::PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};
use sandbox::{InboxOption, Options};

/// A local OpenMail: its API, its deliveries, and a page on which to watch an agent.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The address of the API and the page
    #[arg(long, env = "SANDBOX_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// The account's webhook, which receives the events of inboxes without their own webhook
    #[arg(long, env = "SANDBOX_WEBHOOK", value_name = "URL", value_parser = url)]
    webhook: Option<String>,
    /// The secret of the account's webhook; if not given, that of the state file, or generated
    #[arg(long, env = "SANDBOX_SECRET", hide_env_values = true, value_parser = secret)]
    secret: Option<String>,
    /// The account's API key; if not given, that of the state file, or generated
    #[arg(long, env = "SANDBOX_API_KEY", value_name = "KEY", hide_env_values = true,
        value_parser = api_key)]
    api_key: Option<String>,
    /// An inbox, optionally with its own webhook; for several, repeat the option or separate them
    /// with spaces
    #[arg(
        long = "inbox",
        env = "SANDBOX_INBOXES",
        value_name = "ID=ADDRESS[=URL]",
        value_delimiter = ' '
    )]
    inboxes: Vec<InboxOption>,
    /// Speeds up OpenMail's retry schedule by this factor
    #[arg(long, env = "SANDBOX_SPEED", value_name = "FACTOR", default_value = "1",
        value_parser = speed)]
    speed: f64,
    /// An SQLite file that keeps the state; without it, the state is lost when the program ends
    #[arg(long, env = "SANDBOX_STATE", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Accepts requests from other machines, if --listen is an address that they can reach; anybody
    /// who can reach it has full access, since there is no password
    #[arg(long, env = "SANDBOX_ALLOW_REMOTE")]
    allow_remote: bool,
    /// Lifts OpenMail's limits of 10 mails a minute and 200 a day for each inbox
    #[arg(long, env = "SANDBOX_NO_LIMITS")]
    no_limits: bool,
}

impl Args {
    /// Reads the options, or prints why they are wrong and exits. An empty variable counts as
    /// unset, since Compose files pass an unset one as empty.
    pub(crate) fn read() -> Self {
        let command = Self::command().mut_args(|arg| {
            let is_empty =
                arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
            if is_empty { arg.env(None) } else { arg }
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

impl From<Args> for Options {
    fn from(args: Args) -> Self {
        let mut options = Self::default();
        options.listen = args.listen;
        // A script may pass a variable that is not set: `--webhook "$URL"`.
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        options.webhook = given(args.webhook);
        options.secret = given(args.secret);
        options.api_key = given(args.api_key);
        options.inboxes = args.inboxes;
        options.speed = args.speed;
        options.state = args.state;
        options.allow_remote = args.allow_remote;
        options.send_limits = !args.no_limits;
        options
    }
}

fn url(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let uri: http::Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(text.to_owned()),
        _ => Err("it must begin with http:// or https://".into()),
    }
}

fn secret(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        openmail_tower::Secret::new(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

fn api_key(text: &str) -> Result<String, String> {
    match text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("an API key must consist of visible ASCII characters".into()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err("it must be a number greater than 0".into()),
    }
}
