//! A local OpenMail for developing and watching an agent without an account.
//!
//! It serves OpenMail's REST API, delivers signed events to a webhook as OpenMail does, and has a
//! page for writing mails and following their deliveries and replies. [`Sandbox`] runs it inside
//! another program, such as a test or a demo.
//!
//! Operations for which OpenMail has no API are under `/sandbox`, in JSON and without a key:
//!
//! | request | does |
//! |---|---|
//! | `POST /sandbox/mails` | receives a mail: `from`, `to`, `cc`, `subject`, `text`, `category`, `verdict`, `autoReplyable`, `replyToMessage`; as a form, also `files` |
//! | `POST /sandbox/mails/{id}/again` | receives the same mail again, with the same `Message-ID` |
//! | `GET /sandbox/deliveries?messageId=` | lists a mail's deliveries and their attempts; without `messageId`, the newest 100 deliveries |
//! | `POST /sandbox/deliveries/{id}/again` | delivers the same event again |
//! | `POST /sandbox/inboxes/{id}/suspend`, `…/reactivate`; `/sandbox/pods/…` | suspends (`reason`) or reactivates, and notifies the webhook |
//! | `GET`, `PUT /sandbox/faults` | reads the faults, or replaces all of them (those not given get their defaults): `requests` (`answer`: `429`, `402`, `500` or `cut`; `count`; `scope`: `all` or `send`), `deliverTwice`, `outOfOrder`, `clockOffsetSeconds`, `sendLimits` |
//! | `POST /sandbox/attachments/expire` | makes every signed attachment URL expire |

mod api;
mod app;
mod control;
mod deliverer;
mod files;
mod locality;
mod notices;
mod page;
mod sandbox;
mod server;
mod state;
mod text;

pub use sandbox::{InboxOption, Options, Sandbox, SandboxError};
