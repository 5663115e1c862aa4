//! Rows, the progress bar, and the summary.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use openmail_tower::testing::{Attempt, Delivery, Report};
use serde::Serialize;
use serde_json::{Value, json};

/// After how long a run is a long one.
const LONG: Duration = Duration::from_secs(2);

pub(crate) struct Output {
    json: bool,
    started: Instant,
    bar: ProgressBar,
}

impl Output {
    pub(crate) fn new(json: bool, count: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} sent, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !json {
            line(&format!("{:<40} {:>7} {:>7} {:>9}", "EVENT", "ATTEMPT", "STATUS", "MS"));
        }
        Self { json, started: Instant::now(), bar }
    }

    /// One row.
    pub(crate) fn attempt(&self, delivery: &Delivery, attempt: &Attempt) {
        let text = if self.json {
            row(delivery, attempt).to_string()
        } else {
            let event = delivery.event_id.as_deref().unwrap_or(&delivery.event);
            let status = match &attempt.status {
                Ok(status) => status.as_str().to_owned(),
                Err(error) => if error.is_timeout() { "timeout" } else { "failed" }.to_owned(),
            };
            let number = attempt.number;
            let ms = milliseconds(attempt.elapsed);
            let reason = reason(attempt).map(|it| format!("  {it}")).unwrap_or_default();
            format!("{event:<40} {number:>7} {status:>7} {ms:>9.1}{reason}")
        };
        if self.bar.is_hidden() && self.started.elapsed() > LONG {
            // It hides itself where there is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.suspend(|| line(&text));
        if attempt.number == 1 && !delivery.duplicate {
            self.bar.inc(1);
        }
    }

    pub(crate) fn summary(&self, summary: &Summary) {
        self.bar.finish_and_clear();
        line(&if self.json {
            json!({ "summary": summary }).to_string()
        } else {
            summary.to_string()
        });
    }
}

/// Whoever reads may stop at any line; the events are delivered all the same.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn row(delivery: &Delivery, attempt: &Attempt) -> Value {
    json!({
        "event": delivery.event,
        "event_id": delivery.event_id,
        "duplicate": delivery.duplicate,
        "attempt": attempt.number,
        "status": attempt.status.as_ref().ok().map(|status| status.as_u16()),
        "error": reason(attempt),
        "ms": milliseconds(attempt.elapsed),
    })
}

/// Why it was not taken: as the answer has it, or why there is none.
fn reason(attempt: &Attempt) -> Option<String> {
    match &attempt.status {
        Err(error) => Some(error.to_string()),
        Ok(status) if status.is_success() => None,
        Ok(_) => error_code(&attempt.answer),
    }
}

/// The `error` of an answer in JSON.
pub(crate) fn error_code(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.get("error")?.as_str().map(str::to_owned)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What became of all events.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    events: usize,
    taken: usize,
    lost: usize,
    attempts: usize,
    /// How often each status came, and each sort of no answer.
    statuses: BTreeMap<String, usize>,
    /// How long the answers took.
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
    pub(crate) fn of(report: &Report) -> Self {
        let events = report.deliveries.len();
        let taken = report.deliveries.iter().filter(|it| it.taken()).count();
        let mut statuses = BTreeMap::new();
        let mut times = Vec::new();
        for attempt in report.attempts() {
            let status = match &attempt.status {
                Ok(status) => status.as_str().to_owned(),
                Err(error) => if error.is_timeout() { "timeout" } else { "failed" }.to_owned(),
            };
            *statuses.entry(status).or_default() += 1;
            if attempt.status.is_ok() {
                times.push(milliseconds(attempt.elapsed));
            }
        }
        times.sort_by(f64::total_cmp);
        let attempts = report.attempts().count();
        let ms = Percentiles::of(&times);
        Self { events, taken, lost: events - taken, attempts, statuses, ms }
    }
}

impl Percentiles {
    /// By the nearest rank.
    fn of(sorted: &[f64]) -> Option<Self> {
        let max = *sorted.last()?;
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        Some(Self { p50: rank(50), p90: rank(90), p99: rank(99), max })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, taken, lost, attempts, statuses, ms } = self;
        let plural = |count: &usize| if *count == 1 { "" } else { "s" };
        write!(f, "\n{events} event{}: {taken} taken, {lost} lost; ", plural(events))?;
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
