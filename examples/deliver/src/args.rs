//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use http::Uri;
use openmail_tower::{
    Secret,
    webhook::{SECRET_VARIABLE, SecretError},
};

/// Delivers events as OpenMail does: signed, with its retries and, if asked, twice or out of order.
///
/// Exit status: 0 if every event was accepted, 1 if not, 2 if the command is wrong.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) deliver: Deliver,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Finds out what is wrong with an endpoint.
    ///
    /// Sends test events, an unknown event, forgeries, bodies of many sizes and a few mails. The
    /// endpoint's handlers get whatever the endpoint accepts, so run this where that does no harm.
    /// Exit status: 0 if nothing is wrong, 1 if something is, 2 if the command is wrong.
    Check(Check),
}

/// Where to deliver to, and what to sign with.
#[derive(Args)]
pub(crate) struct Target {
    /// The endpoint.
    #[arg(long, value_parser = url)]
    url: Option<Uri>,
    /// The webhook secret. Other users of this machine can see a command line: --secret-env is
    /// safer.
    #[arg(long, value_name = "TEXT", conflicts_with = "secret_env")]
    secret: Option<String>,
    /// The environment variable that holds the webhook secret.
    #[arg(long, value_name = "NAME", default_value = SECRET_VARIABLE)]
    secret_env: String,
}

impl Target {
    pub(crate) fn url(&self) -> Result<Uri, &'static str> {
        self.url.clone().ok_or("name the endpoint with --url")
    }

    pub(crate) fn secret(&self) -> Result<Secret, SecretError> {
        match &self.secret {
            Some(text) => Secret::new(text),
            None => Secret::from_env(&self.secret_env),
        }
    }
}

#[derive(Args)]
pub(crate) struct Deliver {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The event's name.
    #[arg(long, value_name = "NAME", default_value = "message.received")]
    pub(crate) event: String,
    /// The event's inbox.
    #[arg(long, value_name = "ID")]
    pub(crate) inbox: Option<String>,
    /// The event's thread.
    #[arg(long, value_name = "ID")]
    pub(crate) thread: Option<String>,
    /// The mail's sender.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// The mail's subject.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// The mail's text.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// A file with the event's JSON, in which --inbox, --thread, --from, --subject and --text
    /// replace the corresponding fields.
    #[arg(long, value_name = "PATH", conflicts_with = "event")]
    pub(crate) file: Option<PathBuf>,
    /// How many events to send, each with its own ids.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u64,
    /// The maximum average number of events to send per second, not counting retries.
    #[arg(long, value_name = "N", value_parser = |text: &str| number(text, 0.001, f64::MAX))]
    pub(crate) rate: Option<f64>,
    /// The probability that an event is sent twice, from 0 to 1.
    #[arg(long, value_name = "PROBABILITY", default_value = "0",
        value_parser = |text: &str| number(text, 0.0, 1.0))]
    pub(crate) duplicate: f64,
    /// Shuffles the events.
    #[arg(long)]
    pub(crate) shuffle: bool,
    /// The speed of OpenMail's schedule of retries: 2 halves each wait.
    #[arg(long, value_name = "FACTOR", default_value = "1",
        value_parser = |text: &str| number(text, 0.001, f64::MAX))]
    pub(crate) speed: f64,
    /// Writes one JSON object per line: each attempt, then the summary.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The inbox for the mails.
    #[arg(long, value_name = "ID", default_value = "inb_deliver_check")]
    pub(crate) inbox: String,
    /// Writes each finding as a JSON object on its own line.
    #[arg(long)]
    pub(crate) json: bool,
}

fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
    match url.scheme_str() {
        Some("http" | "https") => Ok(url),
        _ => Err("it must begin with http:// or https://".into()),
    }
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number < least {
        return Err(format!("it must be at least {least}"));
    }
    // `{:?}` writes the largest number with an exponent, not with 309 digits.
    if number <= most { Ok(number) } else { Err(format!("it must be at most {most:?}")) }
}
