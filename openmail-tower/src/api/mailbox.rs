//! What OpenMail takes as one address.

const LONGEST: usize = 320;

/// Whether a text is one bare address: no display name, no list, nothing that could end a header.
pub(crate) fn is_address(text: &str) -> bool {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return false;
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_special = |c: char| c.is_whitespace() || "<>()[]:;,\\\"@".contains(c);
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let has_domain = match literal {
        Some(address) => !address.is_empty() && !address.contains(['[', ']', ' ']),
        None => !domain.is_empty() && !domain.contains(is_special),
    };
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let has_local = match quoted {
        Some(inside) => !inside.is_empty() && !inside.contains(['"', '\\']),
        None => !local.is_empty() && !local.contains(is_special),
    };
    has_domain && has_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bare_address_only() {
        for text in [
            "a@b.example",
            "a+b@b.example",
            "\"System Administrator\"@b.example",
            "z@ż.example",
            "a@[192.0.2.1]",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "Ada <a@b.c>",
            "<a@b.c>",
            "a@b.c,d@e.f",
            "a@b.c, d@e.f",
            "a@b.c;d@e.f",
            "a@b.c\r\nBcc: d@e.f",
            " a@b.c",
            "a@b.c ",
            "a@@b.c",
            "a b@c.d",
            "\"a\"b\"@c.d",
            "a@b c",
        ] {
            assert!(!is_address(text), "{text:?}");
        }
        assert!(!is_address(&format!("{}@b.c", "a".repeat(400))));
    }
}
