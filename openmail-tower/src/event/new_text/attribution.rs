//! Finds attributions, the lines that introduce a quoted mail: "On …, Ada wrote:" in many
//! languages, on up to four lines.

use super::lines::{Lines, is_unseen};

/// Maximum number of lines of an attribution.
const MOST_LINES: usize = 4;
/// Minimum length of the last line without its colon, in bytes.
const SHORTEST: usize = 6;
/// Maximum length of each line, in bytes.
const LONGEST: usize = 400;

/// The lines that introduce a quoted mail.
pub(super) struct Attribution {
    /// The index of its first line.
    pub(super) first: usize,
    /// Whether it counts even if no quoted line follows: mail made from HTML has no `>` marks.
    pub(super) is_certain: bool,
}

/// The signs of an attribution that a line contains.
#[derive(Clone, Copy, Default)]
struct Facts {
    verb: bool,
    time: bool,
    date: bool,
    at: bool,
    opening: bool,
    /// Whether a verb and a time or date are on the same line.
    dated_verb: bool,
}

/// Finds attributions. Each line is examined once.
#[derive(Default)]
pub(super) struct Attributions {
    /// What was found in the last few lines, indexed by line number modulo `MOST_LINES`.
    known: [Option<(usize, Option<Facts>)>; MOST_LINES],
}

impl Attributions {
    /// Returns the attribution whose last line is `last`, if there is one.
    pub(super) fn ending_at(&mut self, lines: &Lines<'_>, last: usize) -> Option<Attribution> {
        let line = lines.shown(last).strip_suffix([':', '：'])?;
        if line.len() < SHORTEST {
            return None;
        }
        let by_address = line.trim_end_matches(is_unseen).ends_with('>');
        let mut facts = self.facts(lines, last)?;
        if !facts.verb && !by_address {
            return None;
        }
        // A time on the line above the verb may belong to another sentence: "I called at 10:05." on
        // one line, and "Then your colleague wrote:" on the next.
        let is_certain = |facts: Facts| {
            facts.dated_verb
                || (facts.verb && (facts.time || facts.date) && (facts.opening || facts.at))
                || (by_address && facts.at && facts.time && facts.date)
        };
        let mut certain = is_certain(facts).then_some(last);
        let names_someone = facts.verb || facts.at;
        let mut at = last;
        // The attribution begins at the nearest line above that looks like its opening or, if there
        // is none, at the nearest line that makes it certain.
        while !facts.opening && at > 0 && last - at + 1 < MOST_LINES && !lines.is_quoted(at - 1) {
            at -= 1;
            let Some(above) = self.facts(lines, at) else { break };
            facts = Facts {
                verb: facts.verb || above.verb,
                time: facts.time || above.time,
                date: facts.date || above.date,
                at: facts.at || above.at,
                opening: above.opening,
                dated_verb: facts.dated_verb || above.dated_verb,
            };
            if is_certain(facts) && (certain.is_none() || facts.opening) {
                certain = Some(at);
            }
        }
        match certain {
            Some(first) => Some(Attribution { first, is_certain: true }),
            None => names_someone.then_some(Attribution { first: last, is_certain: false }),
        }
    }

    /// Returns the facts of a line; `None` if it is blank or too long.
    fn facts(&mut self, lines: &Lines<'_>, index: usize) -> Option<Facts> {
        let slot = &mut self.known[index % MOST_LINES];
        match slot {
            Some((known, facts)) if *known == index => *facts,
            _ => {
                let facts = facts(lines.shown(index));
                *slot = Some((index, facts));
                facts
            }
        }
    }
}

fn facts(line: &str) -> Option<Facts> {
    if line.is_empty() || line.len() > LONGEST {
        return None;
    }
    let (time, date) = times(line.as_bytes());
    let verb = has_verb(line);
    Some(Facts {
        verb,
        time,
        date,
        at: line.contains('@'),
        opening: is_opening(line),
        dated_verb: verb && (time || date),
    })
}

/// Returns whether a line begins like an attribution.
fn is_opening(line: &str) -> bool {
    if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '在' | '-')) {
        return true;
    }
    OPENINGS.iter().any(|word| {
        let rest = line.strip_prefix(word);
        rest.is_some_and(|rest| rest.starts_with([' ', '\u{a0}']))
    })
}

const OPENINGS: [&str; 18] = [
    "On", "Am", "Le", "El", "Em", "No", "Il", "Op", "Den", "W", "Dnia", "Dne", "Pada", "Vào", "På",
    "В", "На", "في",
];

fn has_verb(line: &str) -> bool {
    let end = line.trim_end_matches(|c| is_unseen(c) || matches!(c, ':' | '：' | '-'));
    ENDS.iter().any(|verb| end.ends_with(verb))
        || end
            .split([' ', '\u{a0}'])
            .any(|word| is_verb(word.trim_matches([',', ':', '<', '>', '"'])))
}

const ENDS: [&str; 4] = ["写道", "寫道", "작성", "のメール"];

#[rustfmt::skip]
fn is_verb(word: &str) -> bool {
    matches!(word,
        "wrote" | "writes" | "schrieb" | "geschrieben" | "écrit" | "escribió" | "escreveu" | "scritto"
        | "schreef" | "geschreven" | "napisał(a)" | "napisał" | "napisała" | "pisze"
        | "написал(а)" | "написал" | "написала" | "пишет" | "كتب" | "كتابة" | "yazdı" | "skrev"
        | "लिखा" | "menulis" | "viết" | "kirjoitti" | "írta" | "napsal(a)" | "napsal" | "έγραψε"
        | "Quoting" | "Zitat" | "Citando")
}

/// Returns whether a line contains a time of day, and whether it contains a year or a numeric date.
fn times(bytes: &[u8]) -> (bool, bool) {
    let (mut time, mut date) = (false, false);
    let mut at = 0;
    // The length of the previous group of digits, if exactly one byte separates it from the next.
    let mut before = None;
    while let Some(found) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + found;
        if found != 1 {
            before = None;
        }
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if let Some(digits) = before
            && digits <= 2
        {
            let between = bytes[start - 1];
            time |= length == 2 && matches!(between, b':' | b'.' | b'h');
            date |= length <= 2 && matches!(between, b'/' | b'.');
        }
        let year = &bytes[start..start + length];
        date |= length == 4 && (year.starts_with(b"19") || year.starts_with(b"20"));
        at = start + length;
        before = Some(length);
    }
    (time, date)
}
