//! [`AddressPattern`]: matches addresses for an allow-list or block-list.

use std::{fmt, str::FromStr};

use super::address::{Address, canonical_domain};

/// One entry of an allow-list or block-list of addresses.
///
/// | text | matches |
/// |---|---|
/// | `ada@example.com` | that address |
/// | `example.com` | every address of that domain, not of its subdomains |
/// | `*.example.com` | every address of its subdomains, not of the domain itself |
///
/// `*@example.com` is an error: write `example.com`.
///
/// Addresses are compared as [`Address`] compares them: only the address counts, never the display
/// name; case is ignored and, with the feature `idn`, a Unicode domain equals its ASCII form.
///
/// ```
/// use openmail_tower::event::{Address, AddressPattern};
///
/// let pattern: AddressPattern = "*.example.com".parse()?;
/// let ada: Address = "ada@mail.example.com".parse()?;
/// assert!(pattern.matches(&ada));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Pattern {
    Address(Address),
    Domain(Box<str>),
    Subdomains(Box<str>),
}

impl AddressPattern {
    /// Returns whether the pattern matches an address.
    pub fn matches(&self, address: &Address) -> bool {
        match &self.0 {
            Pattern::Address(one) => one == address,
            Pattern::Domain(domain) => **domain == *address.domain(),
            Pattern::Subdomains(domain) => {
                let rest = address.domain().strip_suffix(&**domain);
                rest.and_then(|rest| rest.strip_suffix('.')).is_some_and(|label| !label.is_empty())
            }
        }
    }
}

impl FromStr for AddressPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let domain = |text| canonical_domain(text).map(Into::into).ok_or(InvalidPattern(None));
        let text = text.trim();
        Ok(Self(match text.strip_prefix("*.") {
            Some(parent) => Pattern::Subdomains(domain(parent)?),
            None if text.contains('@') => {
                let address: Address = text.parse().map_err(|_| InvalidPattern(None))?;
                // It would match only a mailbox that is named `*`.
                if address.local_part() == "*" {
                    return Err(InvalidPattern(Some(address.domain().into())));
                }
                Pattern::Address(address)
            }
            None => Pattern::Domain(domain(text)?),
        }))
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Address(address) => f.write_str(address.canonical()),
            Pattern::Domain(domain) => f.write_str(domain),
            Pattern::Subdomains(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// The error for a text that is not an [`AddressPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidPattern(
    /// The domain of a text of the form `*@domain`.
    Option<Box<str>>,
);

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(domain) => {
                write!(f, "to match every address of a domain, write `{domain}` without `*@`")
            }
            None => f.write_str("not an address, a domain or `*.` followed by a domain"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_address_and_domain() {
        for (pattern, matching, others) in [
            (
                "Ada@B.example",
                vec!["ada@b.example", "\"ada\"@b.example"],
                vec!["ada@c.b.example", "eve@b.example"],
            ),
            (
                "b.example",
                vec!["x@B.example", "x@b.example."],
                vec!["x@a.b.example", "x@ab.example", "x@b.example.org"],
            ),
            (
                "*.b.example",
                vec!["x@a.b.example", "x@c.a.b.example"],
                vec!["x@b.example", "x@ab.example"],
            ),
        ] {
            let pattern: AddressPattern = pattern.parse().unwrap();
            for text in matching {
                assert!(pattern.matches(&text.parse().unwrap()), "{pattern} {text}");
            }
            for text in others {
                assert!(!pattern.matches(&text.parse().unwrap()), "{pattern} {text}");
            }
        }
        for text in ["", "*", "*.", "a.*.example", "*b.example", "a@", "a b", "@b.example"] {
            assert!(text.parse::<AddressPattern>().is_err(), "{text}");
        }
        // In a longer local part, an asterisk is an ordinary character.
        assert!("a*@b.example".parse::<AddressPattern>().is_ok());
    }

    #[test]
    fn error_for_an_asterisk_before_the_at_sign_says_what_to_write() {
        for text in ["*@Spam.example", " *@spam.example. ", "\"*\"@spam.example"] {
            let error = text.parse::<AddressPattern>().unwrap_err();
            assert!(error.to_string().contains("write `spam.example`"), "{text}: {error}");
        }
    }
}
