//! `Message::new_text` on mails as many mail programs write them, in many languages.
//!
//! `fixtures/new_text/mails.txt` contains them: a name, a subject if it matters, the mail, and its
//! new text.

use std::time::Duration;

use openmail_tests::measure::thread_time;
use openmail_tower::Message;

/// The number of measurements. The smallest one counts.
const ROUNDS: usize = 3;

const MAILS: &str = include_str!("../fixtures/new_text/mails.txt");

struct Mail {
    name: &'static str,
    message: Message,
    new: &'static str,
}

fn message(text: &str, subject: Option<&str>) -> Message {
    let json = serde_json::json!({"id": "m", "subject": subject, "body_text": text});
    serde_json::from_value(json).unwrap()
}

fn mails() -> Vec<Mail> {
    let mail = |entry: &'static str| {
        let (head, rest) = entry.split_once("==== mail\n").unwrap();
        let (text, new) = rest.split_once("==== new\n").unwrap();
        let (name, subject) = head.split_once('\n').unwrap();
        let subject = subject.strip_prefix("subject: ").map(str::trim_end);
        Mail { name, message: message(text, subject), new: new.trim_end_matches('\n') }
    };
    // Each entry has three lines that begin with "==== ". The first one has its name.
    let mut entries: Vec<&str> = Vec::new();
    let starts: Vec<_> = MAILS.match_indices("==== ").map(|(at, _)| at).collect();
    for three in starts.chunks(3) {
        let start = three[0] + "==== ".len();
        let end = starts.iter().find(|at| **at > three[2]).copied().unwrap_or(MAILS.len());
        entries.push(&MAILS[start..end]);
    }
    entries.into_iter().map(mail).collect()
}

#[test]
fn separates_at_least_95_of_100_mails_from_their_history() {
    let mails = mails();
    let missed: Vec<_> = mails
        .iter()
        .filter(|mail| mail.message.new_text() != mail.new)
        .map(|mail| mail.name)
        .collect();
    let exact = mails.len() - missed.len();
    println!("{exact} of {} mails are exact; not: {missed:?}", mails.len());
    assert!(mails.len() >= 120);
    assert!(exact * 100 >= mails.len() * 95, "{missed:?}");
}

#[test]
fn mail_without_history_or_signature_keeps_every_line() {
    for mail in mails().iter().filter(|mail| mail.name.starts_with("plain ")) {
        let text = mail.message.body_text.as_deref().unwrap();
        assert_eq!(mail.message.new_text(), mail.new, "{}", mail.name);
        assert_eq!(mail.new, text.trim_end(), "{}", mail.name);
    }
}

#[test]
fn no_mail_loses_all_of_its_text() {
    for mail in mails() {
        assert!(!mail.message.new_text().is_empty(), "{}", mail.name);
        // Nor is all of the text lost if the mail begins at any of its later lines, even if only
        // history is left.
        let text = mail.message.body_text.as_deref().unwrap();
        for (at, _) in text.match_indices('\n') {
            let rest = message(&text[at..], None);
            let is_blank = text[at..].trim().is_empty();
            assert_eq!(rest.new_text().is_empty(), is_blank, "{}: {:?}", mail.name, &text[at..]);
        }
    }
    assert_eq!(message("", None).new_text(), "");
    assert_eq!(message(" \r\n\t\n", None).new_text(), "");
}

#[test]
fn hostile_text_takes_proportional_time() {
    for unit in [
        "\u{200d}",
        "\n",
        ":\n",
        "wrote\n:\n",
        "1:05 wrote x:\n",
        "From: x\n",
        "From: x\nDate: y\n",
        "--\n",
        "--\n\n\n",
        "> \n",
        "> On 2024 x wrote:\n",
        "---x---\n",
        "sent from my x\n",
        "On \nOn \nOn \n<a@b>:\n",
        "a wrote:\n\n\n\n",
        "a wrote:",
        "______________________________\n",
        "\u{202b}\u{e0041}:\n",
        "：\n",
    ] {
        let mails = [1 << 16, 1 << 19].map(|bytes| message(&unit.repeat(bytes / unit.len()), None));
        let mut least = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            for (mail, least) in mails.iter().zip(&mut least) {
                let start = thread_time();
                std::hint::black_box(mail.new_text());
                *least = (*least).min(thread_time() - start);
            }
        }
        // Eight times the text takes about eight times as long; quadratic code would take 64 times.
        let [small, large] = least;
        assert!(large < small * 24, "{unit:?}: {small:?}, then {large:?}");
    }
}
