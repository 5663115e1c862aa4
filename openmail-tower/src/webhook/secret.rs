//! Webhook secrets: opaque text that is never shown, never empty, and never surrounded by
//! whitespace.

use std::{env, ffi::OsString, fmt, sync::Arc};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::telemetry;

/// The environment variable that holds the secret, as named in OpenMail's guide.
pub const SECRET_VARIABLE: &str = "OPENMAIL_WEBHOOK_SECRET";
/// The environment variable that holds the previous secret during a rotation.
pub const PREVIOUS_SECRET_VARIABLE: &str = "OPENMAIL_WEBHOOK_SECRET_PREVIOUS";

/// A secret with fewer bytes causes a warning in the log.
const SHORT: usize = 16;

/// Returns whether a text is enclosed in quotation marks.
fn is_quoted(text: &str) -> bool {
    let mut characters = text.chars();
    let (first, last) = (characters.next(), characters.next_back());
    matches!(
        (first, last),
        (Some('"'), Some('"'))
            | (Some('\''), Some('\''))
            | (Some('`'), Some('`'))
            | (Some('\u{201c}' | '\u{201d}'), Some('\u{201c}' | '\u{201d}'))
            | (Some('\u{2018}' | '\u{2019}'), Some('\u{2018}' | '\u{2019}'))
    )
}

/// One webhook secret.
///
/// OpenMail does not document the form of its secrets, so this is opaque text: its UTF-8 bytes are
/// the key, without any decoding. Only the keyed state of the MAC is kept, never the text. The
/// state is wiped on drop, and `Debug` does not show it.
///
/// ```
/// use openmail_tower::{Secret, webhook::SecretErrorKind};
///
/// let secret = Secret::new("whsec_0123456789")?;
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert_eq!(Secret::new("").unwrap_err().kind(), SecretErrorKind::Empty);
/// assert_eq!(Secret::new("whsec_0123\n").unwrap_err().kind(), SecretErrorKind::Padded);
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    keyed: Hmac<Sha256>,
}

impl Secret {
    /// Creates a secret from its text.
    ///
    /// A secret of fewer than 16 bytes is accepted, since OpenMail does not say how long its
    /// secrets are. It causes one warning per process, because it was probably cut off. The warning
    /// shows its length only.
    ///
    /// # Errors
    /// If it is empty, begins or ends with whitespace, or is enclosed in quotation marks. A byte
    /// order mark and a NUL count as whitespace. The newline of a file, a space from a copied line,
    /// or the quotes of an env file are the usual reasons why no signature ever verifies.
    pub fn new(text: impl AsRef<str>) -> Result<Self, SecretError> {
        let text = text.as_ref();
        let blank = |c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0';
        if text.chars().all(blank) {
            return Err(SecretErrorKind::Empty.into());
        }
        if text.starts_with(blank) || text.ends_with(blank) {
            return Err(SecretErrorKind::Padded.into());
        }
        if is_quoted(text) {
            return Err(SecretErrorKind::Quoted.into());
        }
        if text.len() < SHORT {
            telemetry::short_secret(text.len());
        }
        let keyed = Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes a key of any length");
        Ok(Self { keyed })
    }

    /// Reads the secret from an environment variable.
    ///
    /// # Errors
    /// If the variable is not set or is not Unicode, or as for [`Secret::new`]. The error names the
    /// variable.
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        Self::from_variable(variable, env::var_os(variable))
    }

    fn from_variable(name: &str, value: Option<OsString>) -> Result<Self, SecretError> {
        let text = match value.map(OsString::into_string) {
            None => Err(SecretErrorKind::Unset.into()),
            Some(Err(_)) => Err(SecretErrorKind::NotUnicode.into()),
            Some(Ok(text)) => Self::new(text),
        };
        text.map_err(|error| SecretError { variable: Some(name.to_owned()), ..error })
    }

    /// Creates a secret from bytes that need not be text, for published test vectors.
    #[cfg(test)]
    pub(crate) fn from_key(key: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes a key of any length") }
    }

    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.keyed.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secrets that may have signed a request: usually one, and two during a rotation.
///
/// In a rotation, OpenMail signs with the new secret as soon as it creates it. Attempts signed with
/// the old one may still be on their way, so the receiver must accept both for a while. All
/// secrets are always tried, so the time taken does not reveal which one matched. Cheap to clone.
///
/// ```
/// use openmail_tower::{Secret, Secrets};
///
/// let secrets = Secrets::new(Secret::new("new")?).and(Secret::new("old")?);
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
#[derive(Clone)]
pub struct Secrets {
    all: Arc<[Secret]>,
}

impl Secrets {
    /// Creates a set with the current secret.
    pub fn new(current: Secret) -> Self {
        Self { all: Arc::new([current]) }
    }

    /// Also accepts `other`: the previous secret, or the next one.
    #[must_use]
    pub fn and(self, other: Secret) -> Self {
        Self { all: self.all.iter().cloned().chain([other]).collect() }
    }

    /// Reads `OPENMAIL_WEBHOOK_SECRET` and, if it is set, `OPENMAIL_WEBHOOK_SECRET_PREVIOUS`.
    ///
    /// # Errors
    /// As for [`Secret::from_env`], except that the second variable may be unset, blank, or an
    /// empty pair of quotes.
    pub fn from_env() -> Result<Self, SecretError> {
        Self::from_variables(env::var_os(SECRET_VARIABLE), env::var_os(PREVIOUS_SECRET_VARIABLE))
    }

    fn from_variables(
        current: Option<OsString>,
        previous: Option<OsString>,
    ) -> Result<Self, SecretError> {
        let secrets = Self::new(Secret::from_variable(SECRET_VARIABLE, current)?);
        // Compose files pass an unset variable as an empty one, and env files keep quotes.
        let is_none = |text: &OsString| {
            text.to_str().is_some_and(|text| matches!(text.trim(), "" | "\"\"" | "''"))
        };
        match previous.filter(|text| !is_none(text)) {
            None => Ok(secrets),
            some => Ok(secrets.and(Secret::from_variable(PREVIOUS_SECRET_VARIABLE, some)?)),
        }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Secret> {
        self.all.iter()
    }
}

impl From<Secret> for Secrets {
    fn from(current: Secret) -> Self {
        Self::new(current)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.all.len()).finish()
    }
}

/// The error for a text that cannot be a secret. `Debug` writes the same as `Display`, because a
/// `main` that returns the error prints its `Debug` form.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind}", variable.as_ref().map(|name| format!("{name}: ")).unwrap_or_default())]
pub struct SecretError {
    kind: SecretErrorKind,
    variable: Option<String>,
}

impl SecretError {
    /// Returns what is wrong with the secret.
    pub fn kind(&self) -> SecretErrorKind {
        self.kind
    }

    /// Returns the environment variable that was read, if any.
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }
}

impl fmt::Debug for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<SecretErrorKind> for SecretError {
    fn from(kind: SecretErrorKind) -> Self {
        Self { kind, variable: None }
    }
}

/// What is wrong with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// The environment variable is not set.
    #[error("the webhook secret is not set; copy it from OpenMail's webhook settings")]
    Unset,
    /// The environment variable is not Unicode.
    #[error(
        "the webhook secret is not valid Unicode; copy it again from OpenMail's webhook settings"
    )]
    NotUnicode,
    /// It is empty, or nothing but whitespace.
    #[error("the webhook secret is empty; copy it from OpenMail's webhook settings")]
    Empty,
    /// It has whitespace before or after it.
    #[error(
        "the webhook secret has whitespace before or after it; remove the newline or the space"
    )]
    Padded,
    /// It is enclosed in quotation marks.
    #[error(
        "the webhook secret has quotation marks around it, perhaps from an env file; remove them"
    )]
    Quoted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(current: Option<&str>, previous: Option<&str>) -> Result<Secrets, SecretError> {
        Secrets::from_variables(current.map(Into::into), previous.map(Into::into))
    }

    #[test]
    fn rejects_an_empty_or_padded_secret() {
        for text in ["", " ", "\n", "\u{feff}", "\0"] {
            assert_eq!(Secret::new(text).unwrap_err().kind(), SecretErrorKind::Empty, "{text:?}");
        }
        for text in [" k", "k ", "k\n", "k\r\n", "\tk", "k\u{a0}", "\u{feff}k", "k\0"] {
            assert_eq!(Secret::new(text).unwrap_err().kind(), SecretErrorKind::Padded, "{text:?}");
        }
        assert!(Secret::new("two words").is_ok());
    }

    #[test]
    fn rejects_quotation_marks_only_around_a_secret() {
        for text in ["\"whsec_k\"", "'k'", "`k`", "\u{201c}k\u{201d}", "\u{2018}k\u{2019}", "\"\""]
        {
            let error = Secret::new(text).unwrap_err();
            assert_eq!(error.kind(), SecretErrorKind::Quoted, "{text}");
            assert!(error.to_string().contains("quotation marks"), "{error}");
        }
        for text in ["k\"k", "\"k", "k'", "\"k'", "\""] {
            assert!(Secret::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn debug_of_an_error_equals_its_display() {
        let error = Secrets::from_variables(None, None).unwrap_err();
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn error_names_the_variable() {
        let name = |result: Result<Secrets, SecretError>| result.unwrap_err().to_string();
        assert!(name(variables(None, None)).starts_with("OPENMAIL_WEBHOOK_SECRET: "));
        assert!(name(variables(Some(""), None)).starts_with("OPENMAIL_WEBHOOK_SECRET: "));
        assert!(name(variables(Some("k\n"), None)).starts_with("OPENMAIL_WEBHOOK_SECRET: "));
        let previous = name(variables(Some("k"), Some("j ")));
        assert!(previous.starts_with("OPENMAIL_WEBHOOK_SECRET_PREVIOUS: "), "{previous}");
    }

    #[test]
    fn previous_secret_may_be_unset_or_empty() {
        for none in [None, Some(""), Some(" "), Some("\"\""), Some("''")] {
            assert_eq!(variables(Some("k"), none).unwrap().iter().count(), 1, "{none:?}");
        }
        assert_eq!(variables(Some("k"), Some("j")).unwrap().iter().count(), 2);
    }

    #[test]
    fn debug_shows_only_the_number_of_secrets() {
        let secrets = variables(Some("hunter2"), Some("hunter1")).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }
}
