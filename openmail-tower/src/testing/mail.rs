//! The mail in a [`TestEvent`].

use serde_json::{Map, Value, json};

use super::event::{TestEvent, unique};

/// Setters for the fields of `message`.
impl TestEvent {
    /// Sets `message.id`.
    #[must_use]
    pub fn message_id(self, id: impl AsRef<str>) -> Self {
        self.message_field("id", id.as_ref())
    }

    /// Sets `message.from`: an address, or a name and an address.
    #[must_use]
    pub fn from(self, sender: impl AsRef<str>) -> Self {
        self.message_field("from", sender.as_ref())
    }

    /// Sets `message.subject`.
    #[must_use]
    pub fn subject(self, subject: impl AsRef<str>) -> Self {
        self.message_field("subject", subject.as_ref())
    }

    /// Sets `message.body_text`.
    #[must_use]
    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.message_field("body_text", text.as_ref())
    }

    /// Adds a text file to `message.attachments`, including its extracted text.
    #[must_use]
    pub fn attachment(mut self, filename: &str, text: &str) -> Self {
        let id = self.message().get("id").and_then(Value::as_str).unwrap_or("msg_test");
        let attachment = json!({
            "filename": filename,
            "contentType": "text/plain",
            "sizeBytes": text.len(),
            "url": format!("https://api.openmail.sh/v1/attachments/{id}/{filename}"),
            "parsedText": text,
            "extractionMethod": "text",
        });
        match self.message().get_mut("attachments") {
            Some(Value::Array(all)) => all.push(attachment),
            _ => {
                self.message().insert("attachments".into(), json!([attachment]));
            }
        }
        self
    }

    /// Sets any field of `message`.
    #[must_use]
    pub fn message_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.message().insert(name.into(), value.into());
        self
    }

    fn message(&mut self) -> &mut Map<String, Value> {
        let message = self.body.entry("message").or_insert(Value::Null);
        if !message.is_object() {
            *message = Value::Object(Map::new());
        }
        message.as_object_mut().expect("it was just made one")
    }
}

/// Returns the mail of a new event.
pub(super) fn message() -> Value {
    let id = unique("msg");
    json!({
        "id": id,
        "rfc_message_id": format!("<{id}@example.com>"),
        "from": "Sender <sender@example.com>",
        "to": "agent@openmail.sh",
        "cc": [],
        "subject": "Subject",
        "body_text": "Text",
        "attachments": [],
        "received_at": "",
    })
}
