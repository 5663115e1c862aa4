//! A local OpenMail: develop and watch an agent without an account.
//!
//! It answers OpenMail's REST API, delivers signed events to a webhook as OpenMail does, and has a
//! page on which to write mails and to see what becomes of them. [`Sandbox`] runs it inside another
//! program, as a test or a demo.
//!
//! What OpenMail has no API for is under `/sandbox`, in JSON and without a key:
//!
//! | request | does |
//! |---|---|
//! | `POST /sandbox/mails` | puts a mail in: `from`, `to`, `cc`, `subject`, `text`, `category`, `verdict`, `autoReplyable`, `replyToMessage`; as a form also `files` |
//! | `POST /sandbox/mails/{id}/again` | the same mail again, with the same `Message-ID` |
//! | `GET /sandbox/deliveries?messageId=` | deliveries and their attempts |
//! | `POST /sandbox/deliveries/{id}/again` | delivers the same event again |
//! | `POST /sandbox/inboxes/{id}/suspend`, `…/reactivate`; `/sandbox/pods/…` | suspends (`reason`) or reactivates, and says so to the webhook |
//! | `GET`, `PUT /sandbox/faults` | `requests` (`answer`: `429`, `402`, `500` or `cut`; `count`; `scope`: `all` or `send`), `deliverTwice`, `outOfOrder`, `clockOffsetSeconds`, `sendLimits` |
//! | `POST /sandbox/attachments/expire` | makes every signed attachment URL expire |

mod api;
mod app;
mod control;
mod deliverer;
mod files;
mod locality;
mod page;
mod sandbox;
mod server;
mod state;
mod text;

pub use sandbox::{InboxOption, Options, Sandbox, SandboxError};
