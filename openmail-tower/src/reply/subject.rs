//! The subject of a reply that has no thread.

/// Maximum length of a subject that OpenMail accepts, in characters.
const LONGEST: usize = 998;

/// Returns the mail's subject on one line, after `Re:` unless it already begins with that.
pub(super) fn answer_to(subject: Option<&str>) -> String {
    let plain: String = subject.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let plain = plain.trim();
    let is_answer = plain.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    let whole = if is_answer { plain.to_owned() } else { format!("Re: {plain}") };
    whole.trim_end().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_gets_one_re() {
        assert_eq!(answer_to(Some("Help")), "Re: Help");
        assert_eq!(answer_to(Some("RE: Help")), "RE: Help");
        assert_eq!(answer_to(Some(" a\r\nBcc: b@c.d ")), "Re: aBcc: b@c.d");
        assert_eq!(answer_to(None), "Re:");
        assert_eq!(answer_to(Some("é")), "Re: é");
        assert_eq!(answer_to(Some(&"x".repeat(2000))).chars().count(), LONGEST);
    }
}
