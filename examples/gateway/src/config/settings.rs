//! Turns the file into the gateway's settings.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use openmail_tower::{
    InboxId, Secret, Secrets,
    queue::{Backoff, Lane},
    webhook::{SecretError, SecretErrorKind},
};
use toml::Spanned;

use super::{
    error::ConfigError,
    file::{self, File},
    values::{
        Attempts, Concurrency, Count, LaneName, Length, Listen, Queue, SecretSource, Times, Url,
    },
};

/// The configuration, with its secrets read.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) fixed: Fixed,
    pub(crate) account: Option<Secrets>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) fallback: Option<Target>,
}

/// Settings that require a restart to change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) listen: Listen,
    pub(crate) queue: Queue,
    pub(crate) backoff: Backoff,
    lane: LaneName,
}

impl Fixed {
    pub(crate) fn lane(&self) -> Lane {
        match self.lane {
            LaneName::Thread => Lane::Thread,
            LaneName::Inbox => Lane::Inbox,
            LaneName::Sender => Lane::Sender,
            LaneName::None => Lane::None,
        }
    }
}

/// An inbox and its agent.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) id: InboxId,
    pub(crate) secrets: Option<Secrets>,
    pub(crate) target: Target,
}

/// Where and how events are forwarded.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) sign_with: Option<Secret>,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
}

/// Reads the queue's location, but no secrets: the commands for dead letters do not need them.
pub(crate) fn queue(path: &Path) -> Result<Queue, ConfigError> {
    let source = Source::read(path)?;
    Ok(source.queue(source.parse()?.queue))
}

impl Settings {
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let source = Source::read(path)?;
        let file = source.parse()?;
        let fixed = Fixed {
            listen: file.listen,
            queue: source.queue(file.queue),
            backoff: backoff(file.backoff, file.max_attempts),
            lane: file.lane,
        };
        let account = file.account.map(|account| source.secrets(&account.secrets)).transpose()?;
        let mut ids = HashSet::new();
        let mut inboxes = Vec::with_capacity(file.inboxes.len());
        for inbox in file.inboxes {
            let id = inbox.id.get_ref();
            if id.is_empty() {
                return Err(source.error(&inbox.id, "an inbox's id must not be empty"));
            }
            if !ids.insert(id.clone()) {
                return Err(source.error(&inbox.id, format!("there are two inboxes `{id}`")));
            }
            if inbox.secrets.is_none() && account.is_none() {
                let reason = "no secret can verify this inbox's events: give it `secrets`, or add \
                              an [account]";
                return Err(source.error(&inbox.id, reason));
            }
            inboxes.push(source.inbox(inbox)?);
        }
        if account.is_none() && inboxes.is_empty() {
            let reason = "no secret is configured: add an [account] or an [[inbox]] with `secrets`";
            return Err(ConfigError::new(path, reason));
        }
        let fallback = file
            .fallback
            .map(|it| source.target(it.url, it.sign_with.as_ref(), it.timeout, it.concurrency));
        Ok(Self { fixed, account, inboxes, fallback: fallback.transpose()? })
    }
}

/// Returns a back-off. What the file does not set is the library's default.
fn backoff(times: Option<Times>, max_attempts: Option<Attempts>) -> Backoff {
    let backoff = times.map_or_else(Backoff::default, |times| {
        let Times { first: Length(first), max: Length(max) } = times;
        Backoff::new(first, max)
    });
    max_attempts.map_or(backoff, |Count(attempts)| backoff.attempts(attempts))
}

/// The text of the file, with what is needed to report a position in it.
struct Source<'p> {
    path: &'p Path,
    text: String,
}

impl<'p> Source<'p> {
    fn read(path: &'p Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::new(
                path,
                "the file does not exist; name another with --config (start with a copy of \
                 examples/gateway/gateway.toml)",
            ),
            _ => ConfigError::new(path, format!("cannot read the configuration: {error}")),
        })?;
        Ok(Self { path, text })
    }

    fn parse(&self) -> Result<File, ConfigError> {
        toml::from_str(&self.text)
            .map_err(|error| ConfigError::parser(self.path, &self.text, &error))
    }

    fn error<T>(&self, of: &Spanned<T>, reason: impl std::fmt::Display) -> ConfigError {
        ConfigError::at(self.path, &self.text, of.span(), reason)
    }

    fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    fn queue(&self, queue: Queue) -> Queue {
        match queue {
            Queue::Sqlite(path) => Queue::Sqlite(self.beside(path)),
            postgres => postgres,
        }
    }

    fn inbox(&self, inbox: file::Inbox) -> Result<Inbox, ConfigError> {
        let secrets = inbox.secrets.map(|secrets| self.secrets(&secrets)).transpose()?;
        let sign_with = inbox.sign_with.as_ref();
        let target = self.target(inbox.url, sign_with, inbox.timeout, inbox.concurrency)?;
        Ok(Inbox { id: inbox.id.into_inner().into(), secrets, target })
    }

    fn target(
        &self,
        url: Url,
        sign_with: Option<&Spanned<SecretSource>>,
        Length(timeout): Length,
        Count(concurrency): Concurrency,
    ) -> Result<Target, ConfigError> {
        let sign_with = sign_with.map(|secret| self.secret(secret, Key::SignWith)).transpose()?;
        Ok(Target { url, sign_with, timeout, concurrency: concurrency as usize })
    }

    fn secrets(
        &self,
        sources: &Spanned<Vec<Spanned<SecretSource>>>,
    ) -> Result<Secrets, ConfigError> {
        let Some((first, others)) = sources.get_ref().split_first() else {
            return Err(self.error(sources, "`secrets` must contain at least one secret"));
        };
        let secret = |source| self.secret(source, Key::Secrets);
        let first = Secrets::new(secret(first)?);
        others.iter().try_fold(first, |all, other| Ok(all.and(secret(other)?)))
    }

    fn secret(&self, source: &Spanned<SecretSource>, key: Key) -> Result<Secret, ConfigError> {
        let SecretSource(text) = source.get_ref();
        let reason = |error| key.reason(&error);
        let secret = if let Some(variable) = text.strip_prefix("env:") {
            Secret::from_env(variable).map_err(reason)
        } else if let Some(path) = text.strip_prefix("file:") {
            read_line(&self.beside(path))
                .map_err(|error| error.to_string())
                .and_then(|text| Secret::new(text).map_err(reason))
                .map_err(|error| format!("{path}: {error}"))
        } else {
            Secret::new(text).map_err(reason)
        };
        secret.map_err(|reason| self.error(source, format!("`{}`: {reason}", key.name())))
    }
}

/// A key whose value is a secret.
#[derive(Debug, Clone, Copy)]
enum Key {
    /// OpenMail has created these.
    Secrets,
    /// The operator has chosen this one.
    SignWith,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::SignWith => "sign_with",
        }
    }

    /// Says what is wrong with a secret. The error's own text is about OpenMail's secrets.
    fn reason(self, error: &SecretError) -> String {
        if let Self::Secrets = self {
            return error.to_string();
        }
        let what = match error.kind() {
            SecretErrorKind::Unset => {
                "is not set; set it to the secret that the agent verifies with"
            }
            SecretErrorKind::NotUnicode => "is not valid Unicode",
            SecretErrorKind::Empty => "is empty; set it to the secret that the agent verifies with",
            SecretErrorKind::Padded => {
                "has whitespace before or after it; remove the newline or the space"
            }
            SecretErrorKind::Quoted => "has quotation marks around it; remove them",
            _ => "cannot be used",
        };
        match error.variable() {
            Some(variable) => format!("the environment variable {variable} {what}"),
            None => format!("the secret {what}"),
        }
    }
}

/// Reads a file without the newline at its end: editors add one, which is not part of the secret.
fn read_line(path: &Path) -> io::Result<String> {
    let mut text = fs::read_to_string(path)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_shows_the_librarys_backoff() {
        let sample = include_str!("../../gateway.toml")
            .replace("env:OPENMAIL_WEBHOOK_SECRET", "whsec_0123456789");
        let is_set = |line: &&str| line.starts_with("max_attempts") || line.starts_with("backoff");
        assert_eq!(sample.lines().filter(is_set).count(), 2);
        let unset: String =
            sample.lines().filter(|line| !is_set(line)).map(|line| format!("{line}\n")).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gateway.toml");
        for text in [sample, unset] {
            fs::write(&path, text).expect("it is written");
            let settings = Settings::load(&path).expect("it is valid");
            assert_eq!(settings.fixed.backoff, Backoff::default());
        }
    }
}
