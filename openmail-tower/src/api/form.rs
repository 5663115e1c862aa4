//! `multipart/form-data`, as browsers write it.
//!
//! The form is encoded here because the bytes of a mail must be the same at every attempt. Each
//! crate that was considered chooses a random boundary for each body, does not escape file names,
//! or, like `http-multipart` 0.1.2, writes headers that browsers do not write.

use bytes::{BufMut, BytesMut};
use sha2::{Digest, Sha256};

use super::outgoing::{Fields, File, Prepared};

pub(super) fn encode(fields: &Fields, files: &[File]) -> Prepared {
    let parts = parts(fields);
    let boundary = boundary(&parts, files);
    let size: usize = files.iter().map(|file| file.bytes.len() + 512).sum();
    let mut body = BytesMut::with_capacity(size + fields.body.len() + 4096);
    let mut put = |texts: &[&str]| texts.iter().for_each(|text| body.put_slice(text.as_bytes()));
    for (name, value) in &parts {
        put(&["--", &boundary, "\r\nContent-Disposition: form-data; name=\"", name, "\"\r\n\r\n"]);
        put(&[value, "\r\n"]);
    }
    for file in files {
        let name = escaped(&file.name);
        let disposition = "\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"";
        body.put_slice(b"--");
        body.put_slice(boundary.as_bytes());
        body.put_slice(disposition.as_bytes());
        body.put_slice(name.as_bytes());
        body.put_slice(b"\"\r\nContent-Type: ");
        body.put_slice(file.content_type.as_bytes());
        body.put_slice(b"\r\n\r\n");
        body.put_slice(&file.bytes);
        body.put_slice(b"\r\n");
    }
    body.put_slice(b"--");
    body.put_slice(boundary.as_bytes());
    body.put_slice(b"--\r\n");
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Prepared { content_type, body: body.freeze() }
}

fn parts(fields: &Fields) -> Vec<(&'static str, &str)> {
    let Fields { to, subject, body, body_html, thread_id, include_quote, reply_to, cc } = fields;
    let quote = include_quote.map(|quote| if quote { "true" } else { "false" });
    let optional = [
        ("subject", subject.as_deref()),
        ("body", Some(body.as_str())),
        ("bodyHtml", body_html.as_deref()),
        ("threadId", thread_id.as_ref().map(AsRef::as_ref)),
        ("includeQuote", quote),
        ("replyTo", reply_to.as_deref()),
    ];
    let mut parts = vec![("to", to.as_str())];
    parts.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    parts.extend(cc.iter().map(|address| ("cc", address.as_str())));
    parts
}

/// Returns the boundary. It is derived from everything that it separates, so the author of a part
/// cannot know it in advance.
fn boundary(parts: &[(&str, &str)], files: &[File]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (name, value) in parts {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    for file in files {
        add(file.name.as_bytes());
        add(file.content_type.as_bytes());
        add(&file.bytes);
    }
    format!("openmail-{}", hex::encode(&hash.finalize()[..20]))
}

/// Escapes the three characters that would end a file's name, as the HTML standard requires, and
/// removes other control characters.
fn escaped(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control() || "\r\n".contains(*c)).collect();
    plain.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::outgoing::Outgoing;

    fn encoded(mail: &Outgoing) -> (String, String) {
        let Prepared { content_type, body } = mail.prepare().unwrap();
        (content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    fn mail(file: &str) -> Outgoing {
        let file = File::new(file, "a,b\n");
        Outgoing::to("a@b.c").subject("s").text("t").cc("d@e.f").cc("g@h.i").attach(file)
    }

    #[test]
    fn writes_the_documented_multipart_form() {
        let (content_type, body) = encoded(&mail("list.csv"));
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let part = |name: &str, value: &str| {
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        };
        let expected = [
            part("to", "a@b.c"),
            part("subject", "s"),
            part("body", "t"),
            part("cc", "d@e.f"),
            part("cc", "g@h.i"),
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"list.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\n\r\n--{boundary}--\r\n"
            ),
        ];
        assert_eq!(body, expected.concat());
    }

    #[test]
    fn same_mail_gives_the_same_bytes_and_another_mail_another_boundary() {
        assert_eq!(encoded(&mail("a.csv")), encoded(&mail("a.csv")));
        assert_ne!(encoded(&mail("a.csv")).0, encoded(&mail("b.csv")).0);
    }

    #[test]
    fn file_name_cannot_add_a_header() {
        let (_, body) = encoded(&mail("a\"\r\nContent-Type: text/html\r\n\r\n<b>\0.csv"));
        assert!(body.contains("filename=\"a%22%0D%0AContent-Type: text/html%0D%0A%0D%0A<b>.csv\""));
    }
}
