//! Safety that does not depend on the model: [`GuardLayer`] decides which mails run a handler and
//! which replies are sent.
//!
//! Most mail is not from a person. Spam costs money for every run, two agents answer each other until
//! somebody stops them, and a text can talk an agent into things. A guard sees each
//! `message.received` before its handler does:
//!
//! | action | the handler | its reply | OpenMail is answered |
//! |---|---|---|---|
//! | [pass](Action::Pass) | runs | is sent | as the handler's outcome says |
//! | [mute](Action::Mute) | runs | is withheld | 200 |
//! | [put off](Action::PutOff) | runs later; no attempt is used | | behind a queue 200, else 503 |
//! | [refuse](Action::Refuse) | does not run | | 200 |
//!
//! Each rule has an action of its own, which [`GuardLayer::on`] changes:
//!
//! | rule | fires for | default |
//! |---|---|---|
//! | [`Verdict`](Rule::Verdict) | a verdict or category of spam or malicious | refuse |
//! | [`AutoReply`](Rule::AutoReply) | mail that [may not be answered automatically](crate::Message::no_reply_reason) | mute |
//! | [`OwnAddress`](Rule::OwnAddress) | mail whose sender is the inbox itself, or an address given to [`own_addresses`](GuardLayer::own_addresses) | refuse |
//! | [`Sender`](Rule::Sender) | senders outside the allow-list or on the block-list | refuse; there are no lists by default |
//! | [`ReplyRate`](Rule::ReplyRate) | more than 5 replies to a thread an hour, 20 to a sender a day, 150 of an inbox a day | mute |
//! | [`RunRate`](Rule::RunRate) | more than 30 runs for a sender an hour, 500 of an inbox an hour | put off; without a queue, refuse |
//! | [`Loop`](Rule::Loop) | the third of nearly the same text by one sender within an hour | mute |
//! | [`Pause`](Rule::Pause) | everything while a [`Pause`] is on | put off |
//!
//! Events other than `message.received` pass.
//!
//! Inside a queue's worker, the rates are counted in the queue's database: replicas count together,
//! and a restart forgets nothing. Elsewhere they are counted in the memory of the process, unless
//! [`GuardLayer::counts`] gives a [`CountStore`] that is shared.
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use openmail_tower::{EventRouter, MessageReceived, layers::guard::{GuardLayer, Guarded}, openmail_handler};
//! use tower::Layer;
//!
//! #[openmail_handler(event = "message.received")]
//! async fn agent(mail: &MessageReceived, guarded: Guarded) {
//!     if guarded.withholds_replies() {
//!         return; // do not pay for an answer that nobody gets
//!     }
//!     println!("answering {}", mail.message.id);
//! }
//!
//! let guard = GuardLayer::default().block(["*.spam.example"])?;
//! let router: EventRouter = EventRouter::new().handler(agent);
//! let events = guard.layer(router);
//! # Ok::<(), openmail_tower::event::InvalidPattern>(())
//! ```

mod extract;
mod layer;
mod memory;
mod pause;
mod rates;
mod rule;
mod service;
mod sketch;
mod waiting;

pub use crate::seam::{CountFuture, CountLimit, CountNote, CountRequest, CountStore, Counted};
pub use extract::Guarded;
pub use layer::{GuardLayer, Guarding};
pub use pause::Pause;
pub use rates::Rate;
pub use rule::{Action, Rule};
pub use service::Guard;
