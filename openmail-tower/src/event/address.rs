//! [`Address`]: one mail address, compared as mail servers compare it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::clean::is_invisible;

/// The longest address that is accepted, in bytes.
const LONGEST: usize = 320;
/// The longest label of a domain, in bytes.
const LONGEST_LABEL: usize = 63;

/// A mail address: `local@domain`.
///
/// `Display` is the address as it was written. Two addresses are equal if they differ only in how
/// they are written: case is ignored, `"ada"@b.example` equals `ada@b.example`, and with the
/// feature `idn` a Unicode domain equals its ASCII form (`z@ż.example`, `z@xn--hha.example`).
/// Look-alikes of other domains stay different: `ехаmple.com` in Cyrillic is not `example.com`.
/// Without `idn`, a
/// Unicode domain equals no ASCII domain.
///
/// `Debug` shows no address.
///
/// ```
/// use openmail_tower::event::Address;
///
/// let ada: Address = "Ada@Example.COM".parse()?;
/// assert_eq!(ada, "ada@example.com");
/// assert_eq!((ada.local_part(), ada.domain()), ("ada", "example.com"));
/// assert_eq!(ada.to_string(), "Ada@Example.COM");
/// assert!("ada@example.com, eve@example.com".parse::<Address>().is_err());
/// # Ok::<(), openmail_tower::event::InvalidAddress>(())
/// ```
#[derive(Clone)]
pub struct Address {
    /// The address as it was written, if that is not its canonical form.
    written: Option<Box<str>>,
    /// The form used for comparison: a local part of `local` bytes, then `@` and the domain.
    canonical: Box<str>,
    local: usize,
}

impl Address {
    /// Returns the address as it was written.
    pub fn as_str(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.canonical)
    }

    /// Returns the form by which addresses are compared: lower case, the local part without
    /// needless quotes, and with the feature `idn` the domain in ASCII.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns the part before the `@` of the [`canonical`](Self::canonical) form.
    pub fn local_part(&self) -> &str {
        &self.canonical[..self.local]
    }

    /// Returns the part after the `@` of the [`canonical`](Self::canonical) form.
    pub fn domain(&self) -> &str {
        &self.canonical[self.local + 1..]
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(InvalidAddress(()));
        }
        let at = memchr::memrchr(b'@', text.as_bytes()).ok_or(InvalidAddress(()))?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        // In most cases this is the exact size, so the text is neither moved nor shrunk later.
        let mut canonical = String::with_capacity(text.len());
        push_local(local, &mut canonical).ok_or(InvalidAddress(()))?;
        let local = canonical.len();
        canonical.push('@');
        push_domain(domain, &mut canonical).ok_or(InvalidAddress(()))?;
        let written = (canonical != text).then(|| text.into());
        Ok(Self { written, canonical: canonical.into(), local })
    }
}

/// Appends the canonical form of a local part.
fn push_local(text: &str, canonical: &mut String) -> Option<()> {
    let Some(quoted) = text.strip_prefix('"') else {
        if text.is_empty() || !text.chars().all(is_atom) {
            return None;
        }
        push_lower_case(text, canonical);
        return Some(());
    };
    let mut plain = String::new();
    let mut rest = quoted.strip_suffix('"')?.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => rest.next()?,
            '"' => return None,
            c => c,
        };
        if c.is_control() || is_invisible(c) {
            return None;
        }
        plain.push(c);
    }
    let plain = lower_case(&plain);
    if !plain.is_empty() && plain.chars().all(is_atom) {
        canonical.push_str(&plain);
    } else {
        let escaped = plain.replace('\\', r"\\").replace('"', "\\\"");
        canonical.extend(["\"", &escaped, "\""]);
    }
    Some(())
}

/// Appends a text in lower case. Keeps a non-ASCII character whose lower case is ASCII: that of
/// U+212A KELVIN SIGN is `k`, which would make a look-alike equal to the address that it imitates.
fn push_lower_case(text: &str, lower: &mut String) {
    if text.is_ascii() {
        let start = lower.len();
        lower.push_str(text);
        lower[start..].make_ascii_lowercase();
        return;
    }
    for c in text.chars() {
        if !c.is_ascii() && c.to_lowercase().all(|lower| lower.is_ascii()) {
            lower.push(c);
        } else {
            lower.extend(c.to_lowercase());
        }
    }
}

fn lower_case(text: &str) -> String {
    let mut lower = String::with_capacity(text.len());
    push_lower_case(text, &mut lower);
    lower
}

/// Returns whether a character may appear in an unquoted local part.
pub(super) fn is_atom(c: char) -> bool {
    match c {
        c if c.is_ascii_alphanumeric() => true,
        '.' | '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'
        | '_' | '`' | '{' | '|' | '}' | '~' => true,
        c => !c.is_ascii() && is_visible(c),
    }
}

fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    !c.is_whitespace() && !c.is_control() && !is_invisible(c)
}

/// Returns the canonical form of a domain.
pub(super) fn canonical_domain(text: &str) -> Option<String> {
    let mut canonical = String::with_capacity(text.len());
    push_domain(text, &mut canonical).map(|()| canonical)
}

/// Appends the canonical form of a domain: without the trailing dot, in lower case and, with the
/// feature `idn`, in ASCII.
fn push_domain(text: &str, canonical: &mut String) -> Option<()> {
    let text = text.trim();
    if is_plain(text) {
        push_lower_case(text, canonical);
        return Some(());
    }
    // UTS #46 would silently drop some invisible characters.
    if !text.chars().all(is_visible) {
        return None;
    }
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.strip_suffix(']')?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
        if literal.is_empty() || !literal.chars().all(fits) {
            return None;
        }
        push_lower_case(text, canonical);
        return Some(());
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let start = canonical.len();
    if !text.is_ascii() || text.split('.').any(is_punycode) {
        canonical.push_str(&idn(text)?);
    } else {
        push_lower_case(text, canonical);
    }
    canonical[start..].split('.').all(is_label).then_some(())
}

/// Returns whether a domain consists of ASCII labels without `--`, as most do. Such a domain
/// contains no Punycode.
fn is_plain(domain: &str) -> bool {
    let (mut length, mut last) = (0, 0);
    for byte in domain.bytes() {
        match byte {
            b'.' if (1..=LONGEST_LABEL).contains(&length) => length = 0,
            b'-' if last == b'-' => return false,
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => length += 1,
            _ => return false,
        }
        last = byte;
    }
    (1..=LONGEST_LABEL).contains(&length)
}

fn is_punycode(label: &str) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}

fn is_label(label: &str) -> bool {
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || (!c.is_ascii() && is_visible(c))
    };
    !label.is_empty() && label.len() <= LONGEST_LABEL && label.chars().all(fits)
}

#[cfg(feature = "idn")]
fn idn(domain: &str) -> Option<String> {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

    let list = AsciiDenyList::URL;
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), list, Hyphens::Allow, DnsLength::Verify);
    ascii.ok().map(Into::into)
}

#[cfg(not(feature = "idn"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `idn` it may fail")]
fn idn(domain: &str) -> Option<String> {
    Some(lower_case(domain))
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialEq<str> for Address {
    fn eq(&self, other: &str) -> bool {
        other.parse::<Self>().is_ok_and(|other| other == *self)
    }
}

impl PartialEq<&str> for Address {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} bytes)", self.as_str().len())
    }
}

/// The error for a text that is not exactly one mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not exactly one mail address of the form local@domain")]
pub struct InvalidAddress(());

#[cfg(test)]
mod tests;
