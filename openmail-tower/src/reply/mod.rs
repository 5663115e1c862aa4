//! Replies: a handler returns one, and OpenMail sends it once.
//!
//! A [`Reply`] goes only to people who are already in the mail's thread: usually to the sender. The
//! recipients are read from the thread or, if the mail cannot be read there, from the signed
//! event, never from what a model wrote. To send mail to anyone else, use
//! [`OpenMail::send`](crate::api::OpenMail::send).
//!
//! The reply to a mail always has the same `Idempotency-Key`, however often and to whichever
//! process the mail is delivered: the key is derived from the signed inbox id and message id, and
//! from the reply's name or position. OpenMail sends one mail for each key.
//!
//! For receivers without a queue, [`ReplyLayer`] sends replies before their event counts as done:
//!
#![cfg_attr(all(feature = "macros", feature = "test-util"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "macros", feature = "test-util")), doc = "```ignore")]
//! use openmail_tower::{
//!     EventRouter, MessageReceived, VerifyLayer,
//!     api::{ApiError, OpenMail},
//!     handler::State,
//!     openmail_handler,
//!     reply::{Reply, ReplyLayer},
//!     webhook,
//! };
//! use tower::Layer;
//!
//! /// Saves a mail's attachments and says how many there were.
//! #[openmail_handler(event = "message.received", inbox = "inb_support")]
//! async fn support(
//!     mail: &MessageReceived,
//!     State(openmail): State<OpenMail>,
//! ) -> Result<Reply, ApiError> {
//!     for attachment in &mail.message.attachments {
//!         openmail.download(attachment).of(mail).save_in("attachments").await?;
//!     }
//!     let count = mail.message.attachments.len();
//!     Ok(Reply::text(format!("Thank you. We have received {count} files.")))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let openmail = OpenMail::from_env()?;
//!     let handlers = EventRouter::new().handler(support).with_state(openmail.clone());
//!     let events = ReplyLayer::new(openmail).layer(handlers);
//!     let webhook = webhook(VerifyLayer::from_env()?, events);
//!     let app = axum::Router::new().route_service("/webhooks", webhook);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```

mod builder;
mod deliver;
mod key;
mod layer;
mod people;
mod subject;
mod written;

pub use builder::Reply;
#[cfg(feature = "queue")]
pub(crate) use deliver::{Failure, Fate, deliver};
pub use layer::{ReplyLayer, ReplyService};
#[cfg(feature = "queue")]
pub(crate) use written::{Keyed, Written, write};
