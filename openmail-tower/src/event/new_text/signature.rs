//! Finds signatures: below `-- ` or a long rule of underscores, and those that mobile mail apps
//! add.

use std::ops::Range;

use super::lines::Lines;

/// Maximum number of lines of a signature, including its delimiter. The `--` above a longer text is
/// taken for a rule between paragraphs.
const MOST_LINES: usize = 20;
/// Maximum number of consecutive lines that count as added by a mobile mail app.
const MOST_MOBILE: usize = 3;

/// Drops the signatures before the line `end`, and returns where they were.
pub(super) fn drop(lines: &mut Lines<'_>, end: usize) -> Vec<Range<usize>> {
    let mut dropped = if lines.are_plain() { Vec::new() } else { below_delimiters(lines, end) };
    dropped.extend(mobile(lines, end));
    dropped
}

fn below_delimiters(lines: &mut Lines<'_>, end: usize) -> Vec<Range<usize>> {
    let mut dropped = Vec::new();
    let mut at = 0;
    while at < end {
        let start = at;
        at += 1;
        if !lines.is_marked(start) || lines.is_dropped(start) || !is_delimiter(lines.shown(start)) {
            continue;
        }
        let most = end.min(start + MOST_LINES);
        let below = (at..most).find(|index| lines.is_dropped(*index));
        if let Some(below) = below.or_else(|| (most == end).then_some(end)) {
            lines.drop(start, below);
            dropped.push(start..below);
            at = below;
        }
    }
    dropped
}

/// Drops the mobile signatures at the end of each part that is kept.
fn mobile(lines: &mut Lines<'_>, end: usize) -> Vec<Range<usize>> {
    let mut dropped = Vec::new();
    let mut left = MOST_MOBILE;
    for at in (0..end).rev() {
        if lines.is_blank(at) {
            continue;
        }
        if lines.is_dropped(at) {
            left = MOST_MOBILE;
        } else if left > 0 && is_mobile(lines.shown(at)) {
            lines.drop(at, at + 1);
            dropped.push(at..at + 1);
            left -= 1;
        } else if lines.are_plain() {
            // None of the lines before this one is dropped, so they belong to the same part.
            break;
        } else {
            left = 0;
        }
    }
    dropped
}

/// Returns whether a signature follows: `-- `, or the long rule of a mailing list.
fn is_delimiter(line: &str) -> bool {
    line == "--" || (line.len() >= 40 && line.bytes().all(|byte| byte == b'_'))
}

/// Returns whether a line was added by a mobile mail app: it has the usual words, and the name of a
/// device or an app. Without such a name, the words may be about a parcel.
fn is_mobile(line: &str) -> bool {
    if line.len() > 160 || (line.is_ascii() && !has_ascii_beginning(line)) {
        return false;
    }
    let line = line.to_lowercase();
    let line = line.trim_end_matches(['.', '。']);
    let is_usual = BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
        || ENDS.iter().any(|end| line.ends_with(end))
        || AROUND.iter().any(|(start, end)| line.starts_with(start) && line.ends_with(end));
    is_usual && names_device_or_app(line)
}

/// Returns whether a line begins with one of the usual words. Every mobile signature in ASCII does,
/// since no line in ASCII ends with one of [`ENDS`]. This check is cheaper than a copy of the line
/// in lower case.
fn has_ascii_beginning(line: &str) -> bool {
    let first = line.as_bytes().first().map(u8::to_ascii_lowercase);
    BEGINNINGS.iter().chain(AROUND.iter().map(|(start, _)| start)).any(|beginning| {
        beginning.as_bytes().first() == first.as_ref()
            && line
                .get(..beginning.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    })
}

fn names_device_or_app(line: &str) -> bool {
    NAMES.iter().any(|name| line.contains(name))
        || line.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// Parts of the names of devices and apps, in lower case.
#[rustfmt::skip]
const NAMES: [&str; 75] = [
    "phone", "ipad", "ipod", "android", "galaxy", "samsung", "huawei", "xiaomi", "redmi", "oneplus",
    "motorola", "nokia", "blackberry", "xperia", "t-mobile", "chromebook", "macbook", "imac", "windows",
    "tablet", "handheld", "mobil", "móvil", "móvel", "celular", "cellulare", "handy", "portable",
    "telefon", "téléphone", "teléfono", "telemóvel", "telefone", "telefoon", "puhelim",
    "outlook", "gmail", "hotmail", "yahoo", "proton", "superhuman", "thunderbird", "airmail", "fastmail",
    "bluemail", "aquamail", "mymail", "mail.ru", "icloud", "foxmail", "gmx", "web.de", "tutanota",
    "mail app", "mail-app", "application mail", "orange mail", "libero mail",
    "телефон", "смартфон", "планшет", "айфон", "яндекс", "هاتف", "جوال", "آيفون", "फ़ोन", "फोन",
    "手机", "手機", "平板", "スマートフォン", "スマホ", "아이폰", "휴대",
];

/// Names that are also parts of other words.
const WORDS: [&str; 14] = [
    "pixel", "oppo", "vivo", "realme", "honor", "htc", "lg", "mac", "ios", "spark", "tuta", "zoho",
    "aol", "qq",
];

const BEGINNINGS: [&str; 42] = [
    "sent from my ",
    "sent from mail for ",
    "sent from outlook",
    "sent from yahoo",
    "sent from samsung",
    "sent from proton",
    "sent from gmail",
    "sent from a mobile",
    "sent via ",
    "sent with proton",
    "sent with [proton",
    "get outlook for ",
    "gesendet von mein",
    "gesendet von mail",
    "gesendet von outlook",
    "gesendet mit der ",
    "outlook für ",
    "envoyé de mon ",
    "envoyé depuis ",
    "envoyé à partir de ",
    "obtenir outlook",
    "télécharger outlook",
    "enviado desde ",
    "obtener outlook",
    "enviado do meu ",
    "enviado do ",
    "enviado a partir do ",
    "obter o outlook",
    "inviato da ",
    "inviato dal ",
    "ottieni outlook",
    "отправлено с ",
    "отправлено из ",
    "发自我的",
    "أُرسلت من",
    "أرسلت من",
    "تم الإرسال من",
    "verstuurd vanaf ",
    "verzonden vanaf ",
    "wysłane z ",
    "wysłano z ",
    "skickat från min ",
];

const ENDS: [&str; 7] = [
    "から送信",
    "에서 보냄",
    "dan gönderildi",
    "den gönderildi",
    "tan gönderildi",
    "ten gönderildi",
    " से भेजा गया",
];

/// What a line begins and ends with.
const AROUND: [(&str, &str); 9] = [
    ("von meinem ", " gesendet"),
    ("从我的", "发送"),
    ("从我的", "发出"),
    ("从我的", "寄出"),
    ("從我的", "發送"),
    ("從我的", "傳送"),
    ("從我的", "送出"),
    ("從我的", "寄出"),
    ("从我的", "傳送"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// [`has_ascii_beginning`] relies on this.
    #[test]
    fn every_end_contains_a_character_that_is_not_ascii() {
        assert!(ENDS.iter().all(|end| !end.is_ascii()));
    }
}
