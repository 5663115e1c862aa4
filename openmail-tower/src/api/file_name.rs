//! Safe names for files on disk, derived from names that a stranger wrote.

use sanitize_filename::{Options, sanitize_with_options};

use crate::event::one_line;

/// The maximum length of a name, in bytes. Most file systems allow 255; this leaves room for a
/// number.
const LONGEST: usize = 200;
const FALLBACK: &str = "attachment";

/// Returns a name that is a plain file in its directory: without separators, control or invisible
/// characters or runs of spaces, not hidden, of bounded length, and none of the usual names that
/// Windows reserves, such as `CON`.
pub(super) fn safe(name: &str) -> String {
    // A run of spaces can push the extension out of view.
    let visible = one_line(name);
    // A leading dot hides a file; a leading dash makes it look like an option, a leading tilde like
    // a home directory.
    let bare = visible.trim_start_matches(|c: char| c.is_whitespace() || ".-~".contains(c));
    let bare = bare.trim_end_matches(|c: char| c.is_whitespace() || c == '.');
    let options = Options { windows: true, truncate: false, replacement: "_" };
    let short = shortened(&sanitize_with_options(bare, options));
    if short.chars().all(|c| c == '_') { FALLBACK.to_owned() } else { short }
}

/// Returns a name with a number, such as `invoice-2.pdf`, for a file whose name is taken.
pub(super) fn numbered(name: &str, number: u32) -> String {
    match split(name) {
        (stem, Some(ending)) => format!("{stem}-{number}.{ending}"),
        (stem, None) => format!("{stem}-{number}"),
    }
}

/// Returns a name of bounded length. It is cut before the extension, which says what the file is.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, ending) = split(name);
    let ending = ending.filter(|ending| ending.len() < 32);
    let room = LONGEST - ending.map_or(0, |ending| ending.len() + 1);
    let end = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    let stem = stem[..end].trim_end_matches([' ', '.']);
    ending.map_or_else(|| stem.to_owned(), |ending| format!("{stem}.{ending}"))
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.is_empty() => (stem, Some(ending)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_escapes_its_directory_or_misleads() {
        for (name, safe_name) in [
            ("invoice.pdf", "invoice.pdf"),
            ("Zażółć 1.pdf", "Zażółć 1.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..\\..\\x.exe", "_.._x.exe"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\x", "C__x"),
            ("a\0b\r\nc.txt", "a b c.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("invoice.pdf  \u{3000}\u{a0}\t .exe", "invoice.pdf .exe"),
            ("a\u{3164}\u{115f}\u{1160}\u{ffa0}\u{34f}\u{fe00}\u{fe0f}.pdf", "a.pdf"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("", FALLBACK),
            (".", FALLBACK),
            ("..", FALLBACK),
            ("...", FALLBACK),
            ("/", FALLBACK),
            ("CON", FALLBACK),
            ("nul.txt", FALLBACK),
            ("a. . ", "a"),
            (".con", FALLBACK),
            ("x:stream", "x_stream"),
        ] {
            assert_eq!(safe(name), safe_name, "{name:?}");
        }
    }

    #[test]
    fn long_name_keeps_its_extension() {
        let name = safe(&format!("{}.pdf", "ż".repeat(300)));
        assert!(name.len() <= LONGEST && name.ends_with("ż.pdf"), "{name}");
        assert!(safe(&"x".repeat(5000)).len() <= LONGEST);
        assert!(safe(&format!("a.{}", "x".repeat(5000))).len() <= LONGEST);
    }

    #[test]
    fn numbers_go_before_the_extension() {
        assert_eq!(numbered("a.tar.gz", 2), "a.tar-2.gz");
        assert_eq!(numbered("a", 2), "a-2");
    }
}
