//! Mail of a given size, realistic but invented.

/// What people write: escapes, quotes, and scripts that take one to four bytes per character.
const SAMPLE: &str = concat!(
    "Hi Ada,\n\nthanks for the quick answer! The \"final\" figures are in the file C:\\reports\\q3.pdf; ",
    "please have a look before Thursday's call, and tell me whether row 17 can be right.\n",
    "Für die Prüfung brauchen wir außerdem die Belege aus dem März – größere Beträge zuerst.\n",
    "Добрый день! Счёт за октябрь во вложении, оплатите, пожалуйста, до конца недели.\n",
    "\u{304a}\u{4e16}\u{8a71}\u{306b}\u{306a}\u{3063}\u{3066}\u{304a}\u{308a}\u{307e}\u{3059}\u{3002}",
    "\u{898b}\u{7a4d}\u{66f8}\u{3092}\u{3054}\u{78ba}\u{8a8d}\u{304f}\u{3060}\u{3055}\u{3044}\u{3002}\n",
    "\tInvoice #2847\t1,250.00 EUR\tdue in 14 days \u{1f4ce}\n",
    "> On Tuesday at 10:05 somebody wrote:\n> I never got it. Could you send it again?\n\n--\nBob\n",
);

/// OpenMail cuts the text of an attachment after this many characters. Here, the limit counts bytes
/// of JSON, so the texts are shorter.
const MOST_TEXT: usize = 50_000;

/// Returns a `message.received` of exactly `bytes` bytes of JSON, at least 1 KiB, with its fields
/// in the order of OpenMail's documentation.
///
/// Its body takes up to 16 KiB; the rest is spread over attachments with `parsedText`.
///
/// # Panics
/// If `bytes` is too small.
pub fn mail_of(bytes: usize) -> Vec<u8> {
    // A small mail has a single attachment, without text.
    let files = if bytes < 2048 { 0 } else { (bytes / MOST_TEXT) + 1 };
    let frame = event("", &attachments(&vec![""; files])).len();
    let all = bytes.checked_sub(frame).expect("a size that holds the mail's frame");
    let body = if files == 0 { all } else { (all / 4).min(16 << 10) };
    let share = |number| (all - body) / files + usize::from(number < (all - body) % files);
    let texts: Vec<_> = (0..files).map(|number| text(share(number))).collect();
    let json = event(&text(body), &attachments(&texts)).into_bytes();
    assert_eq!(json.len(), bytes);
    json
}

fn event(body: &str, attachments: &str) -> String {
    format!(
        concat!(
            r#"{{"event":"message.received","event_id":"4e0e0d2b-6e1f-4f3c-8f53-4f0e2e3d7f10","#,
            r#""occurred_at":"2024-03-21T10:05:00.000Z","delivered_at":"2024-03-21T10:05:01.000Z","#,
            r#""attempt":1,"inbox_id":"inb_92ma7xk1","thread_id":"thr_5f0c9d2e","#,
            r#""message":{{"id":"msg_c0ffee17","rfc_message_id":"<CAF=7d0e8b3a@mail.example.com>","#,
            r#""from":"\"Bob Example\" <bob@example.com>","to":"support@agents.example.org","cc":[],"#,
            r#""subject":"Re: figures for Q3 – please check","body_text":"{}","attachments":[{}],"#,
            r#""received_at":"2024-03-21T10:05:00.000Z","category":"personal","#,
            r#""auto_replyable":true}}}}"#,
        ),
        body, attachments
    )
}

fn attachments(texts: &[impl AsRef<str>]) -> String {
    let file = |number: usize, rest: String| {
        format!(
            concat!(
                r#"{{"filename":"report-{:02}.pdf","contentType":"application/pdf","sizeBytes":48213,"#,
                r#""url":"https://api.openmail.sh/v1/attachments/msg_c0ffee17/report.pdf",{}}}"#,
            ),
            number, rest
        )
    };
    let read = |(number, text): (usize, &_)| {
        let text: &str = AsRef::as_ref(text);
        file(number, format!(r#""parsedText":"{text}","extractionMethod":"pdf""#))
    };
    if texts.is_empty() {
        return file(0, r#""extractionMethod":"pdf_error""#.into());
    }
    texts.iter().enumerate().map(read).collect::<Vec<_>>().join(",")
}

/// Returns the inside of a JSON string that takes `bytes` bytes.
fn text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    let mut buffer = [0; 4];
    for c in SAMPLE.chars().cycle() {
        let escaped = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\t' => "\\t",
            c => c.encode_utf8(&mut buffer),
        };
        if text.len() + escaped.len() > bytes {
            break;
        }
        text.push_str(escaped);
    }
    text.extend(std::iter::repeat_n('.', bytes - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use openmail_tower::Event;

    use super::*;

    #[test]
    fn is_an_event_of_the_requested_length() {
        for bytes in [1 << 10, 8 << 10, 64 << 10, 1 << 20] {
            let json = mail_of(bytes);
            assert_eq!(json.len(), bytes);
            let Ok(Event::MessageReceived(mail)) = Event::from_slice(&json) else { panic!() };
            assert!(mail.extra.is_empty() && mail.message.extra.is_empty());
        }
    }
}
