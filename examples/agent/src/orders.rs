//! The built-in answers, for use without a model.

use std::collections::HashSet;

use openmail_tower::{Message, event::Attachment};

/// The status of the shop's orders.
const ORDERS: [(&str, &str); 3] = [
    ("7", "was delivered on Monday"),
    ("42", "left our warehouse this morning and should reach you on Friday"),
    ("1843", "is being built: engines of this size take their time"),
];

/// Answers questions about orders and attachments; anything else is left to a person.
pub(crate) fn answer(mail: &Message) -> String {
    let text = mail.body_text.as_deref().unwrap_or_default();
    let subject = mail.subject.as_deref().unwrap_or_default();
    let about = format!("{subject}\n{text}");
    let mut parts = Vec::new();
    if about.to_lowercase().contains("order") {
        // The subject often repeats a number of the text.
        let mut seen = HashSet::new();
        parts.extend(numbers(&about).filter(|number| seen.insert(*number)).filter_map(order));
    }
    parts.extend(mail.attachments.iter().map(summary));
    if parts.is_empty() {
        parts.push("Thank you for your mail. I will pass this on to a person.".to_owned());
    }
    format!("Hello,\n\n{}\n\nKind regards,\nyour support agent", parts.join("\n\n"))
}

fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty())
}

fn order(number: &str) -> Option<String> {
    let (_, state) = ORDERS.iter().find(|(known, _)| *known == number)?;
    Some(format!("Your order {number} {state}."))
}

fn summary(file: &Attachment) -> String {
    let name = file.filename.as_deref().unwrap_or("the file");
    let Some(text) = &file.parsed_text else {
        return format!("I could not read {name}.");
    };
    let (words, lines) = (text.split_whitespace().count(), text.lines().count());
    let first: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
    let (lines, words) = (count(lines, "line"), count(words, "word"));
    format!("{name} has {lines} and {words}. It begins with \"{first}\".")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use openmail_tower::testing::TestEvent;

    use super::*;

    fn answer_to(event: &TestEvent) -> String {
        let event = event.verified();
        answer(&event.event().message_received().expect("a mail").message)
    }

    #[test]
    fn looks_up_an_order_by_its_number() {
        let mail = TestEvent::message_received().text("Where is my order no. 42? I paid 10 euros.");
        assert!(answer_to(&mail).contains("Your order 42 left our warehouse"));
        let mail = mail.subject("Order 42, and order 7");
        let answer = answer_to(&mail);
        for number in ["42", "7"] {
            assert_eq!(answer.matches(&format!("Your order {number} ")).count(), 1, "{answer}");
        }
    }

    #[test]
    fn describes_an_attachment() {
        let mail =
            TestEvent::message_received().text("See the list.").attachment("a.txt", "one\ntwo");
        assert!(
            answer_to(&mail).contains("a.txt has 2 lines and 2 words. It begins with \"one\".")
        );
        let mail = TestEvent::message_received().attachment("b.txt", "one two");
        assert!(answer_to(&mail).contains("b.txt has 1 line and 2 words."));
    }

    #[test]
    fn leaves_other_questions_to_a_person() {
        for text in ["Hello", "Order 99?", "42"] {
            let mail = TestEvent::message_received().text(text);
            assert!(answer_to(&mail).contains("I will pass this on to a person"), "{text}");
        }
    }
}
