//! OpenMail's signature as pure functions, without HTTP and without a clock.
//!
//! `X-Signature` is the lower-case hex of `HMAC-SHA256(secret, "{X-Timestamp}.{raw body}")`, and
//! `X-Timestamp` is the Unix time in seconds at which this attempt was sent. The signature covers
//! the exact text of the header and the exact bytes of the body: re-serialised JSON does not
//! verify.
//!
//! [`VerifyLayer`](crate::VerifyLayer) does all of this for an HTTP service, and
//! [`VerifiedEvent::verify`](crate::VerifiedEvent::verify) for a program without tower. Use these
//! functions for anything else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::webhook::secret::{Secret, Secrets};

/// The default tolerance: how far `X-Timestamp` may be from now, in either direction. 300 s, as in
/// OpenMail's guide.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Signs a body as OpenMail does. Returns the text of `X-Signature`.
///
/// ```
/// use openmail_tower::{Secret, webhook::signature};
///
/// let secret = Secret::new("whsec_16xf3d4ngxcpjd2kql81b319h6rew2on")?;
/// let signature = signature::sign(&secret, 1711015500, b"");
/// assert_eq!(signature, "53a3c0f08592cd2deabeb410b090b872f7d09f09fd9f1bf7f1e8f786444234e6");
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
pub fn sign(secret: &Secret, timestamp: u64, body: &[u8]) -> String {
    let mut mac = secret.mac();
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Verifies one delivery. `timestamp` and `signature` are the texts of the headers, `now` is the
/// time with which the timestamp is compared. Returns the signed time.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use openmail_tower::{Secret, Secrets, webhook::signature::{DEFAULT_TOLERANCE, self}};
///
/// let secret = Secret::new("whsec_16xf3d4ngxcpjd2kql81b319h6rew2on")?;
/// let body = br#"{"event":"setup.test"}"#;
/// let signature = signature::sign(&secret, 1711015500, body);
///
/// let secrets = Secrets::new(secret);
/// let now = UNIX_EPOCH + Duration::from_secs(1711015507);
/// signature::verify_at(&secrets, "1711015500", &signature, body, now, DEFAULT_TOLERANCE)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`SignatureError`]. The comparison takes the same time wherever the signatures differ.
pub fn verify_at(
    secrets: &Secrets,
    timestamp: impl AsRef<[u8]>,
    signature: impl AsRef<[u8]>,
    body: &[u8],
    now: SystemTime,
    tolerance: Duration,
) -> Result<SystemTime, SignatureError> {
    let text = timestamp.as_ref();
    let timestamp = Timestamp::parse(text)?;
    let signature = Signature::parse(signature.as_ref())?;
    timestamp.check(now, tolerance)?;
    let mut macs = Macs::new(secrets, text);
    macs.update(body);
    if macs.verify(&signature) { Ok(timestamp.time()) } else { Err(SignatureError::Mismatch) }
}

/// Why a delivery does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The timestamp is not a whole number of seconds in ASCII digits.
    #[error("the timestamp is not a whole number of seconds")]
    MalformedTimestamp,
    /// The signature is not 64 hex digits.
    #[error("the signature is not 64 hex digits")]
    MalformedSignature,
    /// The timestamp is too far from now.
    #[error("the timestamp is {} this machine's clock{}", Off(*ahead, *seconds),
        if *milliseconds { "; it looks like milliseconds" } else { "" })]
    Stale {
        /// How far it is off, in seconds.
        seconds: u64,
        /// Whether it is in the future.
        ahead: bool,
        /// Whether it would be fresh if read as milliseconds.
        milliseconds: bool,
    },
    /// None of the secrets produces this signature.
    #[error("no configured secret produces this signature")]
    Mismatch,
}

struct Off(bool, u64);

impl std::fmt::Display for Off {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(ahead, seconds) = self;
        write!(f, "{seconds} s {}", if *ahead { "ahead of" } else { "behind" })
    }
}

/// A parsed `X-Timestamp`, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp {
    seconds: u64,
}

impl Timestamp {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        // Unlike `u64::from_str`, this accepts no leading plus.
        let seconds = text.iter().try_fold(0, |seconds: u64, byte| {
            let digit = char::from(*byte).to_digit(10)?;
            seconds.checked_mul(10)?.checked_add(digit.into())
        });
        let seconds = seconds.filter(|_| !text.is_empty());
        seconds.map(|seconds| Self { seconds }).ok_or(SignatureError::MalformedTimestamp)
    }

    /// Checks that the timestamp is fresh. Both ends of the window count as inside.
    pub(crate) fn check(self, now: SystemTime, tolerance: Duration) -> Result<(), SignatureError> {
        // A clock before 1970 is wrong anyway; the distance is then simply huge.
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seconds = self.seconds.abs_diff(now);
        if seconds <= tolerance.as_secs() {
            return Ok(());
        }
        let milliseconds = (self.seconds / 1000).abs_diff(now) <= tolerance.as_secs();
        Err(SignatureError::Stale { seconds, ahead: self.seconds > now, milliseconds })
    }

    /// Returns the signed time, or 1970 if a [`SystemTime`] cannot hold it. Only an enormous
    /// tolerance lets such a timestamp pass `check`.
    pub(crate) fn time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.seconds)).unwrap_or(UNIX_EPOCH)
    }
}

/// A parsed `X-Signature`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature([u8; 32]);

impl Signature {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SignatureError::MalformedSignature)?;
        Ok(Self(bytes))
    }
}

/// The MACs in progress for one delivery, one for each secret that may have signed it.
#[derive(Clone)]
pub(crate) struct Macs {
    first: Hmac<Sha256>,
    others: Vec<Hmac<Sha256>>,
}

impl Macs {
    pub(crate) fn new(secrets: &Secrets, timestamp: &[u8]) -> Self {
        let keyed = |secret: &Secret| {
            let mut mac = secret.mac();
            mac.update(timestamp);
            mac.update(b".");
            mac
        };
        let mut all = secrets.iter().map(keyed);
        let first = all.next().expect("Secrets holds at least one");
        Self { first, others: all.collect() }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.first.update(bytes);
        self.others.iter_mut().for_each(|mac| mac.update(bytes));
    }

    /// Compares with every MAC, even if one has already matched.
    pub(crate) fn verify(self, signature: &Signature) -> bool {
        let matches = |mac: Hmac<Sha256>| mac.verify_slice(&signature.0).is_ok();
        self.others.into_iter().fold(matches(self.first), |found, mac| matches(mac) | found)
    }
}

impl std::fmt::Debug for Macs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Macs").field(&(1 + self.others.len())).finish()
    }
}

#[cfg(test)]
mod wycheproof;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_711_015_500;

    fn verify(timestamp: &str, now: SystemTime) -> Result<SystemTime, SignatureError> {
        let secret = Secret::new("k").unwrap();
        // Signed again for each timestamp, so that only the time can fail the check.
        let signature = sign(&secret, timestamp.parse().unwrap(), b"{}");
        verify_at(&secret.into(), timestamp, signature, b"{}", now, DEFAULT_TOLERANCE)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn timestamps_at_either_end_of_the_window_verify() {
        for (timestamp, fresh) in
            [(NOW - 301, false), (NOW - 300, true), (NOW + 300, true), (NOW + 301, false)]
        {
            assert_eq!(verify(&timestamp.to_string(), at(NOW)).is_ok(), fresh, "{timestamp}");
        }
    }

    #[test]
    fn error_states_the_distance_without_overflow() {
        let stale = |seconds, ahead, milliseconds| {
            Err(SignatureError::Stale { seconds, ahead, milliseconds })
        };
        assert_eq!(verify("0", at(NOW)), stale(NOW, false, false));
        assert_eq!(verify(&u64::MAX.to_string(), at(NOW)), stale(u64::MAX - NOW, true, false));
        assert_eq!(verify(&format!("{NOW}000"), at(NOW)), stale(NOW * 999, true, true));
        let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(verify(&NOW.to_string(), before_1970), stale(NOW, true, false));
    }

    #[test]
    fn error_hints_at_milliseconds() {
        let error = verify(&format!("{NOW}000"), at(NOW)).unwrap_err().to_string();
        assert!(error.contains("ahead") && error.contains("milliseconds"), "{error}");
    }

    #[test]
    fn maximum_tolerance_does_not_overflow() {
        let secret = Secret::new("k").unwrap();
        let signature = sign(&secret, u64::MAX, b"{}");
        let timestamp = u64::MAX.to_string();
        let signed = verify_at(&secret.into(), timestamp, signature, b"{}", at(NOW), Duration::MAX);
        assert_eq!(signed, Ok(UNIX_EPOCH));
    }

    #[test]
    fn every_secret_is_tried() {
        let [a, b, c] = ["a", "b", "c"].map(|text| Secret::new(text).unwrap());
        let both = Secrets::new(a.clone()).and(b.clone());
        for (secret, accepted) in [(&a, true), (&b, true), (&c, false)] {
            let signature = sign(secret, NOW, b"{}");
            let timestamp = NOW.to_string();
            let result =
                verify_at(&both, &timestamp, &signature, b"{}", at(NOW), DEFAULT_TOLERANCE);
            assert_eq!(result.is_ok(), accepted);
        }
    }
}
