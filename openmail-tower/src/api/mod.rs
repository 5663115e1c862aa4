//! OpenMail's REST API: sending, threads, messages and attachments.
//!
//! [`OpenMail`] is the client. It works over any tower service that takes HTTP requests. By
//! default, it uses a built-in one with pooled connections:
//!
//! ```no_run
//! use openmail_tower::{InboxId, api::{OpenMail, Outgoing}};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let openmail = OpenMail::from_env()?; // OPENMAIL_API_KEY
//! let mail = Outgoing::to("ada@example.com").subject("Your order").text("It is on its way.");
//! openmail.send(&InboxId::from("inb_support"), "order-4711-shipped", &mail).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The client does not retry requests. If a handler fails with an [`ApiError`], the error
//! determines whether and when the handler runs again. To reply to a mail, return the reply from
//! the handler instead of sending it with the client.

mod address;
mod answer;
mod client;
mod config;
mod download;
mod error;
mod file_name;
mod form;
mod guarded;
mod http;
mod list;
mod outgoing;
mod read;
mod records;
mod redirect;
mod save;
mod send;
mod stack;

pub use client::OpenMail;
pub use config::{API_KEY_VARIABLE, API_URL_VARIABLE, ApiKey, ConfigError, ConfigErrorKind};
pub use download::{Download, MessageRef};
pub use error::{ApiError, ApiErrorKind};
pub use guarded::Untrusted;
pub use outgoing::{File, Outgoing};
pub use records::{
    AttachmentText, DeliveryRole, Direction, Message, MessageStatus, Sent, Thread, ThreadSummary,
};
pub use stack::{Client, ClientFuture};
