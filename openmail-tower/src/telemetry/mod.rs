//! Spans, log lines and metrics: how one mail is followed, and how a dashboard is built.
//!
//! This module is the only place of the crate that logs or counts. With the features `tracing`,
//! `metrics` and `opentelemetry` it does so through the crates of these names; a program chooses the
//! subscriber and the recorder.
//!
//! Message text, subjects, addresses and secrets are in no field, line or label. Ids and error texts
//! are escaped and cut (ids after 128 bytes, errors after 1 KiB), so no line is longer than 4 KiB.
//!
//! # Spans
//!
//! | span | around |
//! |---|---|
//! | [`openmail.delivery`](span::DELIVERY) | the verification of a request and its answer |
//! | [`openmail.run`](span::RUN) | a run of an event, by a worker or, without a queue, by an [`EventRouter`](crate::EventRouter) that answers a delivery |
//! | [`openmail.reply`](span::REPLY) | a try to send a reply |
//!
//! A handler's own spans and log lines are inside `openmail.run`. Spans have level `ERROR`, so that
//! they are there to name the event whichever level of lines is chosen.
//!
//! | field | what it is | in OpenTelemetry also as |
//! |---|---|---|
//! | `kind` | the event's name | |
//! | `event_id` | the signed `event_id` | `messaging.message.id` |
//! | `inbox_id` | the inbox | `messaging.destination.name` |
//! | `thread_id` | the thread | `messaging.message.conversation_id` |
//! | `attempt` | from 1: OpenMail's delivery of it, or the queue's run of it | |
//! | `trace_id` | the trace, where there is no span of OpenTelemetry's that tells | |
//! | `outcome` | what became of it, as the label of the same name | `error.type`, where it failed |
//! | `status` | the HTTP status of the answer | `http.response.status_code` |
//! | `duration` | from the request's arrival to the answer, or of the run | |
//!
//! # One trace from arrival to answer
//! A delivery belongs to the trace of the span around it or of its `traceparent` header, or to a new
//! one ([`TraceContext`](crate::TraceContext)). A queue keeps it, and the run goes on with it in
//! whatever process. With the feature `opentelemetry`, spans are linked so in
//! [`tracing_opentelemetry`], with the attributes of OpenTelemetry's messaging conventions
//! (`messaging.system` is `openmail`); without it, `trace_id` tells what belongs together.
//!
//! # Log lines
//! Their target is `openmail_tower`. At `info`, and at `warn` or `error` where something failed:
//!
//! | line | when |
//! |---|---|
//! | `received` | an event was verified |
//! | `queued` | it was written down |
//! | `run ended` | a run has ended, with `outcome`, `duration` and, where it failed, `error` and `retry_in` |
//! | `reply ended` | a try to send a reply has ended, with the same fields |
//! | `not handled` | a delivery's event was not handled, for a reason that no run has logged |
//! | `guarded` | a guard refused a mail, put it off or withheld its reply, with `action`, `rule` and `reason` |
//! | `dropped` | a delivery was dropped before it was answered, by its sender or by a timeout |
//! | `requests refused` | at most once a second for each reason, with the number since the last |
//!
//! At `debug` each refused request and each answer has its line.
//!
//! # Metrics
//! See [`metric`].

mod delivery;
mod fields;
#[cfg(feature = "guard")]
mod guard;
mod log;
pub mod metric;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(feature = "queue")]
pub(crate) mod queue;
#[cfg(feature = "tracing")]
mod refusals;
mod run;
pub mod span;
#[cfg(feature = "tracing")]
mod text;

#[cfg(feature = "api")]
pub(crate) use delivery::reply_unauthorized;
pub(crate) use delivery::{Answer, Answering, Delivery, not_handled, unverified};
pub(crate) use fields::Fields;
#[cfg(feature = "guard")]
pub(crate) use guard::guarded;
#[cfg(any(feature = "api", feature = "queue"))]
pub(crate) use log::Next;
#[cfg(feature = "dedupe")]
pub(crate) use log::claim;
pub(crate) use log::short_secret;
pub(crate) use metric::{body_in_flight, budget_changed};
pub(crate) use run::{Run, Runner};
#[cfg(feature = "dedupe")]
pub(crate) use span::in_current_span;
