//! Rows, the progress bar, and the summary.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use openmail_tower::testing::{Delivery, DeliveryAttempt};
use serde::Serialize;
use serde_json::{Value, json};

/// The duration after which a progress bar is shown.
const LONG: Duration = Duration::from_secs(2);

pub(crate) struct Output {
    json: bool,
    started: Instant,
    bar: ProgressBar,
    tally: Mutex<Tally>,
}

/// The results so far, updated continuously, since Ctrl-C may come at any time.
#[derive(Default)]
struct Tally {
    events: usize,
    duplicates: usize,
    accepted: usize,
    lost: usize,
    attempts: usize,
    statuses: BTreeMap<String, usize>,
    times: Vec<f64>,
}

impl Output {
    pub(crate) fn new(json: bool, count: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} sent, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !json {
            let [time, event, attempt, status] = ["TIME", "EVENT", "ATTEMPT", "STATUS"];
            line(&format!("{time:<27} {event:<40} {attempt:>7} {status:>7} {:>9}", "MS"));
        }
        Self { json, started: Instant::now(), bar, tally: Mutex::default() }
    }

    /// Writes one row. Its time and event id have the same form as in a receiver's log. So the rows
    /// and the log lines with one event id, sorted together, show what happened to that event.
    pub(crate) fn attempt(&self, delivery: &Delivery, attempt: &DeliveryAttempt) {
        let time = format!("{:.6}", Timestamp::now());
        let text = if self.json {
            row(&time, delivery, attempt).to_string()
        } else {
            let event = delivery.event_id.as_deref().unwrap_or(&delivery.event);
            let event = if delivery.duplicate { format!("{event} (again)") } else { event.into() };
            let status = status(attempt);
            let number = attempt.number;
            let ms = milliseconds(attempt.elapsed);
            let reason = reason(attempt).map(|it| format!("  {it}")).unwrap_or_default();
            let next = match attempt.next_in {
                Some(next) => format!("  next in {}", shown(next)),
                None if attempt.is_accepted() => String::new(),
                None => "  given up".to_owned(),
            };
            format!("{time} {event:<40} {number:>7} {status:>7} {ms:>9.1}{reason}{next}")
        };
        if self.bar.is_hidden() && self.started.elapsed() > LONG {
            // The bar hides itself if there is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.suspend(|| line(&text));
        if attempt.number == 1 && !delivery.duplicate {
            self.bar.inc(1);
        }
        self.tally().add(delivery, attempt);
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the summary so far. Returns whether every event in it was accepted.
    pub(crate) fn summary(&self) -> bool {
        self.bar.finish_and_clear();
        let summary = Summary::of(&self.tally());
        line(&if self.json {
            json!({ "summary": summary }).to_string()
        } else {
            summary.to_string()
        });
        summary.lost == 0 && summary.pending == 0
    }
}

impl Tally {
    fn add(&mut self, delivery: &Delivery, attempt: &DeliveryAttempt) {
        if attempt.number == 1 {
            *(if delivery.duplicate { &mut self.duplicates } else { &mut self.events }) += 1;
        }
        self.attempts += 1;
        *self.statuses.entry(status(attempt)).or_default() += 1;
        if attempt.status.is_ok() {
            self.times.push(milliseconds(attempt.elapsed));
        }
        if attempt.is_accepted() {
            self.accepted += 1;
        } else if attempt.next_in.is_none() {
            self.lost += 1;
        }
    }
}

fn status(attempt: &DeliveryAttempt) -> String {
    match &attempt.status {
        Ok(status) => status.as_str().to_owned(),
        Err(error) => if error.is_timeout() { "timeout" } else { "failed" }.to_owned(),
    }
}

fn shown(wait: Duration) -> String {
    if wait < Duration::from_secs(1) {
        return format!("{} ms", wait.as_millis());
    }
    format!("{} s", wait.as_secs())
}

/// Prints a line. If the reader has closed the pipe, the events are still delivered.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn row(time: &str, delivery: &Delivery, attempt: &DeliveryAttempt) -> Value {
    json!({
        "time": time,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "duplicate": delivery.duplicate,
        "attempt": attempt.number,
        "status": attempt.status.as_ref().ok().map(|status| status.as_u16()),
        "error": reason(attempt),
        "ms": milliseconds(attempt.elapsed),
        "next_ms": attempt.next_in.map(milliseconds),
    })
}

/// Returns why an attempt was not accepted: the error code in the response, or why there was no
/// response.
fn reason(attempt: &DeliveryAttempt) -> Option<String> {
    match &attempt.status {
        Err(error) => Some(error.to_string()),
        Ok(status) if status.is_success() => None,
        Ok(_) => error_code(&attempt.response_body),
    }
}

/// Returns the `error` of a JSON response.
pub(crate) fn error_code(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.get("error")?.as_str().map(str::to_owned)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The results of all events whose first attempt has ended.
#[derive(Debug, Serialize)]
struct Summary {
    events: usize,
    /// Events sent as deliberate duplicates.
    duplicates: usize,
    accepted: usize,
    lost: usize,
    /// Events that would have been retried.
    pending: usize,
    attempts: usize,
    /// The number of responses with each status, and of each kind of failure.
    statuses: BTreeMap<String, usize>,
    /// The response times, in milliseconds.
    ms: Option<Percentiles>,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    fn of(tally: &Tally) -> Self {
        let Tally { events, duplicates, accepted, lost, attempts, .. } = *tally;
        let mut times = tally.times.clone();
        times.sort_by(f64::total_cmp);
        Self {
            events,
            duplicates,
            accepted,
            lost,
            pending: events + duplicates - accepted - lost,
            attempts,
            statuses: tally.statuses.clone(),
            ms: Percentiles::of(&times),
        }
    }
}

impl Percentiles {
    /// Returns the nearest-rank percentiles.
    fn of(sorted: &[f64]) -> Option<Self> {
        let max = *sorted.last()?;
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        Some(Self { p50: rank(50), p90: rank(90), p99: rank(99), max })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, duplicates, accepted, lost, pending, attempts, statuses, ms } = self;
        let plural = |count: &usize| if *count == 1 { "" } else { "s" };
        write!(f, "\n{events} event{}", plural(events))?;
        if *duplicates > 0 {
            write!(f, " and {duplicates} duplicate{}", plural(duplicates))?;
        }
        write!(f, ": {accepted} accepted, {lost} lost")?;
        if *pending > 0 {
            write!(f, ", {pending} not finished")?;
        }
        write!(f, "; ")?;
        write!(f, "{attempts} attempt{}:", plural(attempts))?;
        let mut comma = "";
        for (status, count) in statuses {
            write!(f, "{comma} {count} × {status}")?;
            comma = ",";
        }
        if let Some(Percentiles { p50, p90, p99, max }) = ms {
            write!(f, "\nms to answer: p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, max {max:.1}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(f64::from).collect();
        let Percentiles { p50, p90, p99, max } = Percentiles::of(&times).unwrap();
        assert_eq!([p50, p90, p99, max], [50.0, 90.0, 99.0, 100.0]);
        let Percentiles { p50, p90, p99, max } = Percentiles::of(&[7.0]).unwrap();
        assert_eq!([p50, p90, p99, max], [7.0; 4]);
        assert!(Percentiles::of(&[]).is_none());
    }
}
