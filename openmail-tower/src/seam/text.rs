//! Renders errors of user code, without repetition and within bounds, even if their `Display`
//! misbehaves.

use std::{
    error::Error,
    fmt::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::panic::drop_quietly;

/// Maximum length of the text of an error and its sources, in bytes. A longer text is cut off there
/// and ends with `…`.
const LONGEST: usize = 2048;

/// Maximum number of sources that are followed: an error may be its own source.
const DEEPEST: usize = 16;

/// Renders an error and its sources, separated by colons.
///
/// A source is left out if the text written just before it already contains its text. If a
/// `Display` fails or panics, a note that says so follows what it has written.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = one(error);
    let mut last = text.clone();
    for source in sources(error) {
        let of_source = one(source);
        if !holds(&last, &of_source) {
            text.push_str(": ");
            text.push_str(&of_source);
            last = of_source;
        }
    }
    cut(&mut text);
    text
}

/// Renders a value with `Debug`, under the same bounds.
pub(super) fn debug(value: &dyn fmt::Debug) -> String {
    render(format_args!("{value:?}"))
}

/// Returns the sources of an error, at most [`DEEPEST`] of them.
pub(super) fn sources<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(next(error), |source| next(*source)).take(DEEPEST)
}

fn one(error: &dyn Error) -> String {
    render(format_args!("{error}"))
}

fn next<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match catch_unwind(AssertUnwindSafe(|| error.source())) {
        Ok(source) => source,
        Err(payload) => {
            drop_quietly(payload);
            None
        }
    }
}

fn render(arguments: fmt::Arguments<'_>) -> String {
    let mut text = Bounded(String::new(), false);
    let written = catch_unwind(AssertUnwindSafe(|| text.write_fmt(arguments)));
    let Bounded(mut text, full) = text;
    match written {
        Ok(Ok(())) => {}
        Ok(Err(fmt::Error)) if full => text.push('…'),
        Ok(Err(fmt::Error)) => text.push_str("(the error cannot be displayed)"),
        Err(payload) => {
            drop_quietly(payload);
            text.push_str("(the error's text panicked)");
        }
    }
    text
}

/// Stops the writer once the text is full.
struct Bounded(String, bool);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = LONGEST.saturating_sub(self.0.len());
        if part.len() <= room {
            self.0.push_str(part);
            return Ok(());
        }
        self.0.push_str(&part[..boundary(part, room)]);
        self.1 = true;
        Err(fmt::Error)
    }
}

/// Returns the last character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn cut(text: &mut String) {
    if text.len() > LONGEST {
        text.truncate(boundary(text, LONGEST));
        text.push('…');
    }
}

/// Returns whether `text` contains `part` as whole words.
fn holds(text: &str, part: &str) -> bool {
    let is_word = |edge: Option<char>| edge.is_some_and(char::is_alphanumeric);
    let (starts, ends) = (is_word(part.chars().next()), is_word(part.chars().next_back()));
    text.match_indices(part).any(|(at, _)| {
        let before = is_word(text[..at].chars().next_back());
        let after = is_word(text[at + part.len()..].chars().next());
        !(before && starts || after && ends)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Node(&'static str, Option<Box<Self>>);

    impl fmt::Display for Node {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {
                "panics" => panic!("a Display that panics"),
                "fails" => Err(fmt::Error),
                "long" => (0..1000).try_for_each(|_| f.write_str("très long ")),
                text => f.write_str(text),
            }
        }
    }

    impl Error for Node {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            match (self.0, &self.1) {
                ("circular", _) => Some(self),
                (_, source) => source.as_ref().map(|source| source.as_ref() as _),
            }
        }
    }

    fn of(texts: &[&'static str]) -> String {
        let nodes = texts.iter().rev();
        let node = nodes.fold(None, |source, text| Some(Box::new(Node(text, source))));
        chain(&*node.unwrap())
    }

    #[test]
    fn sources_are_separated_by_colons() {
        assert_eq!(of(&["no answer sent", "not a number"]), "no answer sent: not a number");
        assert_eq!(of(&["art", "a"]), "art: a");
    }

    #[test]
    fn does_not_repeat_a_source() {
        assert_eq!(
            of(&["query failed: no such table", "no such table"]),
            "query failed: no such table"
        );
        assert_eq!(
            of(&["refused (os error 111)", "refused (os error 111)"]),
            "refused (os error 111)"
        );
        assert_eq!(of(&["a b", "b", "c"]), "a b: c");
        assert_eq!(chain(&Node("circular", None)), "circular");
    }

    #[test]
    fn display_that_panics_or_fails_loses_only_its_own_text() {
        assert_eq!(of(&["outer", "panics", "inner"]), "outer: (the error's text panicked): inner");
        assert_eq!(of(&["fails", "inner"]), "(the error cannot be displayed): inner");
    }

    #[test]
    fn cuts_a_long_text() {
        for text in [of(&["long"]), of(&["a", "long", "b"]), debug(&"x".repeat(1 << 20))] {
            assert!((LONGEST..LONGEST + 8).contains(&text.len()), "{}", text.len());
            assert!(text.ends_with('…'));
        }
    }
}
