//! Tools for your own tests: events as OpenMail sends them, signed requests, a clock that you set,
//! [`dispatch`] to handlers without HTTP, and an [`Emulator`] of OpenMail's deliveries and retries.
//!
//! A handler alone, without HTTP:
//! ```
//! # #[cfg(feature = "macros")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openmail_tower::HandlerError> {
//! use openmail_tower::{EventRouter, Message, Outcome, openmail_handler};
//! use openmail_tower::testing::{TestEvent, dispatch};
//!
//! #[openmail_handler(event = "message.received", inbox = "inb_support")]
//! async fn support(mail: &Message) {
//!     assert_eq!(mail.subject.as_deref(), Some("Help"));
//! }
//!
//! let router = EventRouter::new().handler(support);
//! let mail = TestEvent::message_received().subject("Help");
//! assert_eq!(dispatch(&router, mail.clone().inbox("inb_support")).await?, Outcome::Done);
//! assert_eq!(dispatch(&router, mail.inbox("inb_sales")).await?, Outcome::Unrouted);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "macros"))]
//! # fn main() {}
//! ```
//! To test a whole application, including OpenMail's reaction to its responses, use [`Emulator`].

mod clock;
mod deliver;
mod dispatch;
mod emulator;
mod event;
mod mail;
mod order;
mod report;
mod sign;

pub use clock::Clock;
pub use dispatch::dispatch;
pub use emulator::{Emulator, SCHEDULE, TIMEOUT};
pub use event::TestEvent;
pub use report::{AttemptError, Delivery, DeliveryAttempt, Report};
