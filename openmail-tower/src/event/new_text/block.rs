//! What mail programs write before a history or a forwarded mail: separators and header blocks.

use super::lines::is_unseen;

/// The longest header name, in bytes.
const LONGEST_NAME: usize = 48;

pub(super) const FROM: u8 = 1;
pub(super) const DATE: u8 = 2;
pub(super) const TO: u8 = 4;
pub(super) const SUBJECT: u8 = 8;
const OTHER: u8 = 16;

/// Returns which header a line is; 0 for none.
pub(super) fn header(line: &str) -> u8 {
    // All names begin with a capital letter or are not in ASCII.
    if !matches!(line.as_bytes(), [b'A'..=b'Z' | b'*' | 0x80.., ..]) {
        return 0;
    }
    let start = &line.as_bytes()[..line.len().min(LONGEST_NAME)];
    // 0xef is the first of three bytes of a full-width colon.
    let colon = memchr::memchr2(b':', 0xef, start);
    let name = colon.and_then(|end| line.get(..end));
    name.map_or(0, |text| name_of(text.trim_matches(|c| is_unseen(c) || c == '*')))
}

#[rustfmt::skip]
fn name_of(name: &str) -> u8 {
    match name {
        "From" | "Von" | "De" | "Da" | "Van" | "Od" | "От" | "От кого" | "发件人" | "寄件者" | "寄件人"
        | "差出人" | "보낸 사람" | "من" | "Kimden" | "Från" | "Fra" | "Lähettäjä" | "प्रेषक" | "Dari" | "Từ" | "Feladó" | "Від" | "De la" | "Από"
            => FROM,
        "Sent" | "Date" | "Gesendet" | "Datum" | "Envoyé" | "Date d'envoi" | "Enviado" | "Enviado el" | "Fecha"
        | "Enviada em" | "Enviado em" | "Data" | "Inviato" | "Verzonden" | "Wysłano" | "Отправлено" | "Дата"
        | "发送时间" | "日期" | "寄件日期" | "傳送日期" | "送信日時" | "日時" | "보낸 날짜" | "날짜" | "تاريخ الإرسال" | "تم الإرسال"
        | "التاريخ" | "Gönderilme" | "Gönderme Tarihi" | "Tarih" | "Skickat" | "Sendt" | "दिनांक" | "Tanggal" | "Odesláno" | "Elküldve" | "Lähetetty" | "Надіслано" | "Trimis" | "Στάλθηκε"
            => DATE,
        "To" | "An" | "À" | "A" | "Para" | "Aan" | "Do" | "Кому" | "收件人" | "收件者" | "宛先" | "받는 사람" | "إلى"
        | "Kime" | "Till" | "Til" | "Kepada" | "Komu" | "Címzett" | "Vastaanottaja" | "Către" | "Προς" => TO,
        "Subject" | "Betreff" | "Objet" | "Asunto" | "Assunto" | "Oggetto" | "Onderwerp" | "Temat" | "Тема"
        | "主题" | "主旨" | "件名" | "제목" | "الموضوع" | "Konu" | "Ämne" | "Emne" | "Aihe" | "विषय" | "Subjek" | "Předmět" | "Tárgy" | "Subiect" | "Θέμα"
            => SUBJECT,
        "Cc" | "CC" | "Kopie" | "Копия" | "抄送" | "Importance" | "Priorität" | "Reply-To" | "Attachments"
            => OTHER,
        _ => 0,
    }
}

/// Returns whether a line is nothing but a horizontal rule.
pub(super) fn is_rule(line: &str) -> bool {
    line.len() >= 5 && line.bytes().all(|byte| matches!(byte, b'_' | b'-' | b'='))
}

/// Returns the text between dashes: `-----Original Message-----`.
fn dashed(line: &str) -> Option<&str> {
    let inner = line.strip_prefix("---")?.strip_suffix("--")?;
    let inner = inner.trim_matches('-').trim();
    (!inner.is_empty() && inner.len() < 200).then_some(inner)
}

/// Returns whether a line separates a mail from the one that it answers.
pub(super) fn is_history_marker(line: &str) -> bool {
    dashed(line).is_some_and(|inner| {
        is_one_of(inner, &HISTORY) || (inner.starts_with("On ") && inner.ends_with(" wrote"))
    })
}

/// Returns whether a line begins a forwarded mail.
pub(super) fn is_forward_marker(line: &str) -> bool {
    match line.strip_suffix([':', '：']) {
        Some(text) => is_one_of(text.trim_end(), &FORWARDS),
        None => dashed(line).is_some_and(|inner| is_one_of(inner, &DASHED_FORWARDS)),
    }
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

const HISTORY: [&str; 22] = [
    "Original Message",
    "Original Email",
    "Reply Message",
    "Ursprüngliche Nachricht",
    "Originalnachricht",
    "Message d'origine",
    "Message original",
    "Mensaje original",
    "Mensagem original",
    "Messaggio originale",
    "Oorspronkelijk bericht",
    "Wiadomość oryginalna",
    "Исходное сообщение",
    "邮件原件",
    "原始邮件",
    "原始郵件",
    "元のメッセージ",
    "원본 메시지",
    "الرسالة الأصلية",
    "Orijinal İleti",
    "Ursprungligt meddelande",
    "Pesan Asli",
];

const DASHED_FORWARDS: [&str; 22] = [
    "Forwarded message",
    "Weitergeleitete Nachricht",
    "Message transféré",
    "Mensaje reenviado",
    "Mensagem encaminhada",
    "Mensagem reencaminhada",
    "Messaggio inoltrato",
    "Doorgestuurd bericht",
    "Przekazana wiadomość",
    "Treść przekazanej wiadomości",
    "Пересылаемое сообщение",
    "Перенаправленное сообщение",
    "Переадресованное сообщение",
    "转发的消息",
    "转发邮件信息",
    "轉寄的郵件",
    "転送メッセージ",
    "転送されたメッセージ",
    "전달된 메시지",
    "رسالة معاد توجيهها",
    "İletilmiş Mesaj",
    "Vidarebefordrat meddelande",
];

const FORWARDS: [&str; 19] = [
    "Begin forwarded message",
    "Anfang der weitergeleiteten Nachricht",
    "Début du message réexpédié",
    "Début du message transféré",
    "Inicio del mensaje reenviado",
    "Início da mensagem encaminhada",
    "Início da mensagem reencaminhada",
    "Inizio messaggio inoltrato",
    "Begin doorgestuurd bericht",
    "Początek przekazywanej wiadomości",
    "Начало переадресованного сообщения",
    "Начало пересылаемого сообщения",
    "以下是转发的邮件",
    "开始转发的邮件",
    "開始轉寄郵件",
    "転送されたメッセージ",
    "전달된 메시지",
    "بداية الرسالة المعاد توجيهها",
    "Vidarebefordrat brev",
];

/// Returns whether a subject marks a forwarded mail.
pub(super) fn is_forward_subject(subject: &str) -> bool {
    let subject = subject.trim_start();
    let Some(end) = subject.char_indices().take(16).find(|(_, c)| matches!(c, ':' | '：')) else {
        return false;
    };
    let prefix = subject[..end.0].trim().to_lowercase();
    SUBJECTS.contains(&&*prefix)
}

const SUBJECTS: [&str; 18] = [
    "fwd",
    "fw",
    "wg",
    "tr",
    "rv",
    "enc",
    "i",
    "pd",
    "vb",
    "vs",
    "doorst",
    "пересл",
    "转发",
    "轉寄",
    "転送",
    "전달",
    "إعادة توجيه",
    "i̇lt",
];
