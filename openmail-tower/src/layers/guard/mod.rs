//! Safety that does not depend on the model: [`GuardLayer`] decides which mails run a handler and
//! which replies are sent.
//!
//! Most mail is not from a person. Each run for spam costs money, two agents answer each other
//! until somebody stops them, and the text of a mail can make an agent do harm. A guard sees each
//! `message.received` before its handler does, and takes one of these actions:
//!
//! | action | the handler | its reply | response to OpenMail |
//! |---|---|---|---|
//! | [pass](Action::Pass) | runs | is sent | as the handler's outcome says |
//! | [mute](Action::Mute) | runs | is withheld | 200 if a reply is withheld, otherwise as the handler's outcome says |
//! | [put off](Action::PutOff) | runs later; a queue does not count this as an attempt | | behind a queue 200, otherwise 503 |
//! | [refuse](Action::Refuse) | does not run | | 200 |
//!
//! Each rule has its own action, which [`GuardLayer::on`] changes. If several rules fire, the
//! strongest action wins; the table above begins with the weakest. Without a queue, OpenMail gives
//! up after 7.5 minutes, so only a [`Pause`](Rule::Pause) puts mail off; other rules refuse it
//! instead.
//!
//! | rule | fires for | default |
//! |---|---|---|
//! | [`Verdict`](Rule::Verdict) | a verdict or category of spam or malicious, or [in a form that is not understood](crate::Message::is_trustworthy) | refuse |
//! | [`AutoReply`](Rule::AutoReply) | mail that [may not be answered automatically](crate::Message::no_reply_reason) | mute |
//! | [`OwnAddress`](Rule::OwnAddress) | mail whose sender is one of the [`own_addresses`](GuardLayer::own_addresses), or the only address in `to`, which is taken to be the inbox's | refuse |
//! | [`Sender`](Rule::Sender) | senders outside the allow-list or on the block-list | refuse; there are no lists by default |
//! | [`ReplyRate`](Rule::ReplyRate) | more answered mails than 5 an hour in a thread, 20 a day for a sender in an inbox, or 150 a day for an inbox | mute |
//! | [`RunRate`](Rule::RunRate) | more runs than 30 an hour for a sender in an inbox, or 500 an hour for an inbox | put off; without a queue, refuse |
//! | [`Loop`](Rule::Loop) | the third time within an hour that a sender writes nearly the same text to an inbox | mute |
//! | [`Pause`](Rule::Pause) | every mail, or those of single inboxes, while a [`Pause`] is on | put off |
//!
//! Events other than `message.received` pass, and so does a `message.received` that does not fit
//! its type.
//!
//! A guard counts and withholds only the replies that a handler returns, not mail that the handler
//! sends through the API itself. With a queue, put the guard around the worker's handlers: around
//! the queue, it would see no replies. Without a queue, put
//! [`ReplyLayer`](crate::reply::ReplyLayer) around the guard: inside the guard, it would send the
//! replies before the guard sees them.
//!
//! Behind a queue, a mail that is put off holds its lane only if all mail of its inbox waits:
//! during a pause, or if a rate of the inbox is used up. Otherwise other mails of the lane run
//! before it.
//!
//! Inside a queue's worker, the rates are counted in the queue's database, if its store supports
//! this: replicas share the counts, and a restart does not reset them. Elsewhere, they are counted
//! in the memory of the process. [`GuardLayer::counts`] sets another [`CountStore`] for both cases.
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use openmail_tower::{EventRouter, MessageReceived, layers::guard::{GuardLayer, Guarded}, openmail_handler};
//! use tower::Layer;
//!
//! #[openmail_handler(event = "message.received")]
//! async fn agent(mail: &MessageReceived, guarded: Guarded) {
//!     if guarded.withholds_replies() {
//!         return; // do not pay for an answer that is not sent
//!     }
//!     println!("answering {}", mail.message.id);
//! }
//!
//! let guard = GuardLayer::default().block(["*.spam.example"])?;
//! let router: EventRouter = EventRouter::new().handler(agent);
//! let events = guard.layer(router);
//! # Ok::<(), openmail_tower::event::InvalidPattern>(())
//! ```

#[cfg(any(test, feature = "test-util"))]
pub mod contract;
mod counting;
mod extract;
mod layer;
mod memory;
mod pause;
mod rates;
mod rule;
mod service;
mod sketch;
mod waiting;
mod window;

pub use crate::seam::{CountFuture, CountLimit, CountNote, CountRequest, CountStore, Counted};
pub use extract::Guarded;
pub use layer::{GuardLayer, GuardReport};
pub use pause::Pause;
pub use rates::Rate;
pub use rule::{Action, Rule};
pub use service::Guard;
