//! The data that the sandbox keeps.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::data::Data;

/// Returns a new id. Ids with the same prefix sort in the order of their creation.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// A value that is kept under an id and written to the state file as JSON.
pub(crate) trait Row: Clone + Serialize + DeserializeOwned {
    /// Its name in the state file.
    const KIND: &'static str;

    fn id(&self) -> &str;

    fn table(data: &mut Data) -> &mut BTreeMap<String, Self>;
}

macro_rules! row {
    ($type:ty, $kind:literal, $table:ident, $id:ident) => {
        impl Row for $type {
            const KIND: &'static str = $kind;

            fn id(&self) -> &str {
                &self.$id
            }

            fn table(data: &mut Data) -> &mut BTreeMap<String, Self> {
                &mut data.$table
            }
        }
    };
}

row!(Account, "account", accounts, id);
row!(Pod, "pod", pods, id);
row!(Inbox, "inbox", inboxes, id);
row!(ApiKey, "api_key", api_keys, id);
row!(Thread, "thread", threads, id);
row!(Mail, "mail", mails, id);
row!(Delivery, "delivery", deliveries, id);
row!(Answer, "answer", answers, key);

/// The only account. Its webhook receives the events of inboxes without their own webhook.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) api_key: String,
    pub(crate) webhook_url: Option<String>,
    pub(crate) webhook_secret: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) client_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) is_default: bool,
    /// The reason for its suspension; `None` if it is not suspended.
    pub(crate) suspended: Option<String>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Inbox {
    pub(crate) id: String,
    pub(crate) pod_id: String,
    pub(crate) address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) webhook_url: Option<String>,
    /// Set with the first URL.
    pub(crate) webhook_secret: Option<String>,
    /// The reason for its suspension; `None` if it is not suspended.
    pub(crate) suspended: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// A key for a pod or an inbox. The account's key is part of the [`Account`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) pod_id: String,
    pub(crate) inbox_id: Option<String>,
    pub(crate) token: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Thread {
    pub(crate) id: String,
    pub(crate) inbox_id: String,
    pub(crate) subject: String,
    pub(crate) is_read: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) last_message_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

/// A mail in one inbox. A mail that two inboxes receive is stored twice.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) inbox_id: String,
    pub(crate) thread_id: String,
    pub(crate) direction: Direction,
    /// An address, optionally with a name.
    pub(crate) from: String,
    /// The addresses in the `To` header.
    pub(crate) to: Vec<String>,
    pub(crate) cc: Vec<String>,
    pub(crate) reply_to: Option<String>,
    /// Whether this inbox is only in `Cc`.
    pub(crate) copied: bool,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) rfc_message_id: String,
    pub(crate) in_reply_to: Option<String>,
    pub(crate) references: Vec<String>,
    pub(crate) category: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) auto_replyable: Option<bool>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) size: usize,
    /// The key of its bytes.
    pub(crate) file: String,
    pub(crate) text: Option<String>,
    /// How the text was extracted, or why there is none.
    pub(crate) extraction_method: String,
}

/// The delivery of an event to a webhook.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) inbox_id: Option<String>,
    pub(crate) mail_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) event: Map<String, Value>,
    /// The webhook's URL when the delivery was planned, updated at each attempt.
    pub(crate) url: String,
    pub(crate) progress: Progress,
    /// When the next attempt is due.
    pub(crate) due: Option<Timestamp>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Progress {
    /// The next attempt is planned or in progress.
    Pending,
    Delivered,
    /// Every attempt has failed.
    Failed,
    /// Its inbox or webhook no longer exists.
    Cancelled,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    #[serde(default)]
    pub(crate) url: String,
    pub(crate) at: Timestamp,
    pub(crate) status: Option<u16>,
    /// Why there was no response.
    pub(crate) failure: Option<String>,
    pub(crate) elapsed_ms: u64,
    /// The `error` in the receiver's response.
    pub(crate) error: Option<String>,
    /// The beginning of the response's body.
    pub(crate) answer: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Attempt {
    pub(crate) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The response to a request to send, kept for its `Idempotency-Key`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) key: String,
    /// A hash of the inbox and the whole mail.
    pub(crate) fingerprint: String,
    pub(crate) mail_id: String,
    pub(crate) thread_id: String,
    pub(crate) rfc_message_id: String,
    pub(crate) at: Timestamp,
}
