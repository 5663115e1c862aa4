//! Spans, log lines and metrics: to follow a single mail, and to build a dashboard.
//!
//! With the features `tracing`, `metrics` and `opentelemetry`, this crate logs and counts through
//! the crates of the same names; the program chooses the subscriber and the recorder.
//!
//! No field, line or label contains message text, subjects, addresses or secrets. The exception is
//! the text of an error or a panic from the program's own code: a handler, a hook, a keyring, a
//! store.
//! Ids and error texts are escaped and cut (ids after 128 bytes, errors after 1 KiB), so no line is
//! longer than 4 KiB.
//!
//! # Spans
//!
//! | span | around |
//! |---|---|
//! | [`openmail.delivery`](span::DELIVERY) | a request, from its arrival to its response |
//! | [`openmail.run`](span::RUN) | a run of an event, by a worker or, without a queue, by the [`EventRouter`](crate::EventRouter) behind an endpoint |
//! | [`openmail.reply`](span::REPLY) | an attempt to send a reply |
//!
//! A handler's own spans and log lines are inside `openmail.run`. The spans have level `ERROR`, so
//! that they identify the event whichever log level is chosen.
//!
//! | field | what it is | attribute in OpenTelemetry |
//! |---|---|---|
//! | `kind` | the event's name; of a reply that a queue sends, the reply's name (by default, `reply`) | |
//! | `event_id` | the signed `event_id` | `messaging.message.id` |
//! | `inbox_id` | the inbox | `messaging.destination.name` |
//! | `thread_id` | the thread | `messaging.message.conversation_id` |
//! | `attempt` | the attempt, from 1: OpenMail's to deliver the event, or the queue's to run it or to send a reply | |
//! | `trace_id` | the id of the trace; a span inside another of these spans does not repeat it | |
//! | `outcome` | the outcome, as in the metrics' label of the same name; `rejected` for a request that was rejected | `error.type`, if it failed |
//! | `status` | the HTTP status of the response | `http.response.status_code` |
//! | `duration` | the time from the request's arrival to the response, or the duration of the run or of the attempt to send | |
//!
//! # One trace from arrival to reply
//! A delivery joins the trace of the span around it (with the feature `opentelemetry`) or of its
//! `traceparent` header. Without either, it starts a new trace
//! ([`TraceContext`](crate::TraceContext)). A queue stores the trace with the
//! event, and the run continues it, even in another process. With the feature `opentelemetry`,
//! [`tracing_opentelemetry`] exports the spans as parts of that trace, with the attributes of
//! OpenTelemetry's messaging conventions (`messaging.system` is `openmail`). Without the feature,
//! the field `trace_id` shows what belongs together.
//!
//! # Log lines
//! The target is `openmail_tower`. The level is `info`, or `warn` or `error` if something failed or
//! needs attention. Problems with a store, a lease or the program's configuration have lines of
//! their own. The most frequent lines are:
//!
//! | line | meaning |
//! |---|---|
//! | `received` | an event was verified |
//! | `event does not fit its type` | a required field is missing or has the wrong JSON type, or the event is nested too deeply, as `reason` says; no handler for its name runs |
//! | `queued` | an event was stored in the queue |
//! | `run ended` | a run has ended, with `outcome` and `duration`, with `error` if it failed (without a queue, a panic's text is in the line `not handled`), and behind a queue also with `retry_in` or `dead_letter` |
//! | `reply attempt ended` | an attempt to send a reply has ended, with the same fields |
//! | `not handled` | the event of a delivery was not handled, and no line `run ended` says why |
//! | `guarded` | a guard refused a mail, put it off or withheld its reply, with `action`, `rule`, `reason` and `scope`. The scope is `sender` (this mail, or all mails of its sender), `thread` or `inbox` |
//! | `dropped` | a verified delivery was dropped before it was answered: the sender hung up, a timeout ended it, or the inner service failed |
//! | `requests rejected` | requests were rejected, or dropped before they were verified; at most once a second for each reason, with the number since the last line |
//!
//! At `debug`, each rejected request and each response has its own line. A response to a duplicate,
//! or to an event that no handler matches, is logged at `info`, as `answered`.
//!
//! These are all the lines of one mail behind a queue, at the level `info`, as written by
//! `tracing_subscriber::fmt`. OpenMail's API answered the first attempt to send the reply with 500.
//! Only the ids are shortened, and the lines wrapped:
//!
//! ```text
//! 2026-11-27T05:17:59.852322Z  INFO openmail.delivery{kind=message.received
//!     event_id=evt_cd89… inbox_id=inb_support thread_id=thr_01a2… attempt=1 trace_id=03e2…}:
//!     openmail_tower: received bytes=549
//! 2026-11-27T05:17:59.855639Z  INFO openmail.delivery{kind=message.received
//!     event_id=evt_cd89… inbox_id=inb_support thread_id=thr_01a2… attempt=1 trace_id=03e2…}:
//!     openmail_tower: queued duration=3.23128ms
//! 2026-11-27T05:17:59.860753Z  INFO openmail.run{kind=message.received
//!     event_id=evt_cd89… inbox_id=inb_support thread_id=thr_01a2… attempt=1 trace_id=03e2…
//!     outcome="done" duration=3.78106ms}:
//!     openmail_tower: run ended outcome="done" duration=3.78106ms
//! 2026-11-27T05:17:59.866201Z  WARN openmail.reply{kind=reply
//!     event_id=evt_cd89… inbox_id=inb_support thread_id=thr_01a2… attempt=1 trace_id=03e2…
//!     outcome="failed" duration=2.219044ms}:
//!     openmail_tower: reply attempt ended outcome="failed" duration=2.219044ms error=sending the
//!     reply failed: OpenMail's API is unavailable: OpenMail answered 500
//!     internal_error retry_in=1.37887852s
//! 2026-11-27T05:18:01.254289Z  INFO openmail.reply{kind=reply
//!     event_id=evt_cd89… inbox_id=inb_support thread_id=thr_01a2… attempt=2 trace_id=03e2…
//!     outcome="sent" duration=2.142326ms}:
//!     openmail_tower: reply attempt ended outcome="sent" duration=2.142326ms
//! ```
//!
//! # Metrics
//! See [`metric`].

mod delivery;
mod fields;
#[cfg(feature = "guard")]
mod guard;
#[cfg(feature = "metrics")]
mod keys;
mod log;
pub mod metric;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(feature = "queue")]
pub(crate) mod queue;
#[cfg(feature = "tracing")]
mod rejections;
mod run;
pub mod span;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(crate) mod store;
#[cfg(feature = "tracing")]
mod text;

#[cfg(feature = "dedupe")]
pub(crate) use delivery::not_handled;
#[cfg(feature = "api")]
pub(crate) use delivery::reply_unauthorized;
pub(crate) use delivery::{Answering, Delivery, InDelivery, unverified};
pub(crate) use fields::Fields;
#[cfg(feature = "guard")]
pub(crate) use guard::{guarded, uncounted};
#[cfg(any(feature = "api", feature = "queue"))]
pub(crate) use log::Next;
#[cfg(feature = "dedupe")]
pub(crate) use log::claim;
pub(crate) use log::short_secret;
pub(crate) use metric::{body_in_flight, budget_changed};
pub(crate) use run::{Run, Runner};
#[cfg(feature = "dedupe")]
pub(crate) use span::in_current_span;
