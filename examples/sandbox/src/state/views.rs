//! The JSON that the REST API shows for each row.

use serde_json::{Value, json};

use crate::text;

use super::{
    data::Data,
    model::{ApiKey, Direction, Inbox, Mail, Pod, Thread},
};

impl Pod {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "clientId": self.client_id,
            "name": self.name,
            "isDefault": self.is_default,
            "createdAt": text::time(self.created_at),
        })
    }
}

impl Inbox {
    /// Omits the secret, which is shown only when it is created.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "podId": self.pod_id,
            "address": self.address,
            "displayName": self.display_name,
            "webhookUrl": self.webhook_url,
            "createdAt": text::time(self.created_at),
        })
    }
}

impl ApiKey {
    /// Omits the token, which is shown only when it is created.
    pub(crate) fn json(&self) -> Value {
        let (prefix, last4) = (self.token.get(..7), self.token.len().checked_sub(4));
        json!({
            "id": self.id,
            "name": self.name,
            "podId": self.pod_id,
            "inboxId": self.inbox_id,
            "tokenPrefix": prefix,
            "last4": last4.and_then(|at| self.token.get(at..)),
            "createdAt": text::time(self.created_at),
            "lastUsedAt": self.last_used_at.map(text::time),
        })
    }
}

impl Data {
    pub(crate) fn thread_json(&self, thread: &Thread) -> Value {
        json!({
            "id": thread.id,
            "subject": thread.subject,
            "isRead": thread.is_read,
            "lastMessageAt": text::time(thread.last_message_at),
            "createdAt": text::time(thread.created_at),
            "messageCount": self.thread_mails(&thread.id).len(),
        })
    }

    pub(crate) fn mail_json(&self, mail: &Mail, api_url: &str) -> Value {
        let inbound = mail.direction == Direction::Inbound;
        let address = self.inboxes.get(&mail.inbox_id).map_or("", |inbox| &inbox.address);
        let to = if inbound { address } else { mail.to.first().map_or("", |to| to) };
        let bare = |all: &[String]| -> Vec<String> {
            all.iter().map(|it| text::bare_address(it).to_owned()).collect()
        };
        let role = if mail.copied { "cc" } else { "to" };
        let mut json = json!({
            "id": mail.id,
            "threadId": mail.thread_id,
            "direction": mail.direction,
            "fromAddr": text::bare_address(&mail.from),
            "toAddr": to,
            "headerTo": inbound.then(|| bare(&mail.to).join(", ")),
            "deliveryRole": inbound.then_some(role),
            "cc": bare(&mail.cc),
            "subject": mail.subject,
            "bodyText": mail.text,
            "bodyHtml": mail.html,
            "attachments": self.attachments_json(mail, api_url),
            "status": if inbound { "received" } else { "sent" },
            "createdAt": text::time(mail.created_at),
        });
        if inbound {
            json["category"] = json!(mail.category);
            json["verdict"] = json!(mail.verdict);
            json["autoReplyable"] = json!(mail.auto_replyable);
        }
        json
    }
}
