//! The structure of the file.

use serde::Deserialize;
use toml::Spanned;

use super::values::{
    Attempts, Concurrency, Count, LaneName, Length, Listen, Queue, SecretSource, Times, Url,
};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Listen,
    pub(super) queue: Queue,
    pub(super) max_attempts: Option<Attempts>,
    pub(super) backoff: Option<Times>,
    #[serde(default)]
    pub(super) lane: LaneName,
    pub(super) account: Option<Account>,
    #[serde(default, rename = "inbox")]
    pub(super) inboxes: Vec<Inbox>,
    pub(super) fallback: Option<Fallback>,
}

/// `[account]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) secrets: Spanned<Vec<Spanned<SecretSource>>>,
}

/// `[[inbox]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbox {
    pub(super) id: Spanned<String>,
    pub(super) secrets: Option<Spanned<Vec<Spanned<SecretSource>>>>,
    pub(super) url: Url,
    pub(super) sign_with: Option<Spanned<SecretSource>>,
    #[serde(default = "timeout")]
    pub(super) timeout: Length,
    #[serde(default = "concurrency")]
    pub(super) concurrency: Concurrency,
}

/// `[fallback]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fallback {
    pub(super) url: Url,
    pub(super) sign_with: Option<Spanned<SecretSource>>,
    #[serde(default = "timeout")]
    pub(super) timeout: Length,
    #[serde(default = "concurrency")]
    pub(super) concurrency: Concurrency,
}

fn timeout() -> Length {
    Length::seconds(30)
}

fn concurrency() -> Concurrency {
    Count(4)
}
