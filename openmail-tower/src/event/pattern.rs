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
        let domain = |text| canonical_domain(text).map(Into::into).ok_or(InvalidPattern(()));
        let text = text.trim();
        Ok(Self(match text.strip_prefix("*.") {
            Some(parent) => Pattern::Subdomains(domain(parent)?),
            None if text.contains('@') => {
                Pattern::Address(text.parse().map_err(|_| InvalidPattern(()))?)
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
#[error("not an address, a domain or `*.` followed by a domain")]
pub struct InvalidPattern(());

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
        for text in
            ["", "*", "*.", "*@b.example", "a.*.example", "*b.example", "a@", "a b", "@b.example"]
        {
            // An asterisk in a local part is an ordinary character.
            let pattern = text.parse::<AddressPattern>();
            assert!(pattern.is_err() || text == "*@b.example", "{text}");
        }
    }
}
