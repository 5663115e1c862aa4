//! Comparisons: several sides do the same work in turn, and each is reported as a ratio to the
//! first.
//!
//! The ratios hardly depend on the current speed of the machine: in each round the sides take
//! turns, and the median of the rounds' ratios is reported.

use std::{
    env,
    fmt::Write,
    fs,
    hint::black_box,
    os::unix::process::CommandExt,
    pin::pin,
    process::Command,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// The approximate time of the slowest side in one round, and of the warm-up of each side.
const ROUND: Duration = Duration::from_millis(4);
/// The number of inputs prepared at a time; few, so that they are still in the cache when used.
const BATCH: usize = 16;

type Run<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// Sides to be measured, relative to the first.
#[derive(Default)]
pub struct Comparison<'a> {
    sides: Vec<(String, Run<'a>)>,
}

impl std::fmt::Debug for Comparison<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sides.iter().map(|(name, _)| name)).finish()
    }
}

/// One side's result.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The side.
    pub name: String,
    /// Its time for one run: the median of the rounds.
    pub time: Duration,
    /// Its time as a multiple of the first side's: the median of the rounds' ratios.
    pub ratio: f64,
}

impl<'a> Comparison<'a> {
    /// Creates a comparison without sides.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a side. Preparing an input is not measured; dropping the output is.
    #[must_use]
    pub fn side<I, O>(
        mut self,
        name: impl Into<String>,
        mut prepare: impl FnMut() -> I + 'a,
        mut run: impl FnMut(I) -> O + 'a,
    ) -> Self {
        let timed = move |count: usize| {
            let inputs: Vec<I> = (0..count).map(|_| prepare()).collect();
            let start = Instant::now();
            for input in inputs {
                black_box(run(black_box(input)));
            }
            start.elapsed()
        };
        self.sides.push((name.into(), Box::new(timed)));
        self
    }

    /// Calls `enter` before each measurement of the last side, and holds what it returns until the
    /// end. Neither creating nor dropping that is measured.
    ///
    /// # Panics
    /// If there is no side.
    #[must_use]
    pub fn within<G>(mut self, mut enter: impl FnMut() -> G + 'a) -> Self {
        let (name, mut run) = self.sides.pop().expect("a side");
        let within = move |count| {
            let _held = enter();
            run(count)
        };
        self.sides.push((name, Box::new(within)));
        self
    }

    /// Measures for a number of rounds.
    pub fn run(mut self, rounds: usize) -> Vec<Figure> {
        let slowest = self.sides.iter_mut().map(|(_, run)| calibrate(run)).max();
        let once = slowest.expect("a side").max(Duration::from_nanos(1));
        let runs = usize::try_from(ROUND.as_nanos() / once.as_nanos()).expect("a count").max(1);
        let batch = runs.min(BATCH);
        let batches = runs / batch;
        let mut times = vec![Vec::with_capacity(rounds); self.sides.len()];
        for _ in 0..rounds {
            let mut round = vec![Vec::with_capacity(batches); self.sides.len()];
            for turn in 0..batches {
                // The order rotates from batch to batch, so that the slowest side is not always
                // followed by the same one.
                for place in 0..self.sides.len() {
                    let side = (place + turn) % self.sides.len();
                    let time = (self.sides[side].1)(batch);
                    round[side].push(time.as_secs_f64() / batch as f64);
                }
            }
            // The median, since another process may have used the core during some batches.
            for (times, batches) in times.iter_mut().zip(round) {
                times.push(median(batches));
            }
        }
        let first = times[0].clone();
        let figure = |((name, _), times): ((String, Run<'_>), Vec<f64>)| Figure {
            name,
            ratio: median(times.iter().zip(&first).map(|(time, first)| time / first)),
            time: Duration::from_secs_f64(median(times)),
        };
        self.sides.into_iter().zip(times).map(figure).collect()
    }
}

/// Returns the approximate time of one run, after a warm-up.
fn calibrate(run: &mut Run<'_>) -> Duration {
    let start = Instant::now();
    while start.elapsed() < ROUND {
        run(1);
    }
    (0..5).map(|_| run(1)).min().expect("five")
}

/// Returns the median.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// Returns the value below which this share of all values lies.
///
/// # Panics
/// If there are no values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into the values"
)]
pub fn percentile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// Restarts the program with allocator settings that keep freed memory. By default, glibc returns
/// the top of the heap to the system and requests it again, which slows down whichever side runs at
/// that moment.
pub fn steady_allocator() {
    const VARIABLE: &str = "GLIBC_TUNABLES";
    const KEEP: &str =
        "glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824";
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    let error = again.args(env::args_os().skip(1)).env(VARIABLE, KEEP).exec();
    eprintln!("cannot restart with other allocator settings, so the defaults are used: {error}");
}

/// Polls a future until it is ready, without a runtime. The future must need nothing but polls.
pub fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Returns how many bytes of a process are in memory.
///
/// # Panics
/// If there is no such process, or if this is not Linux.
pub fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

/// Returns the processor time of a process, in user mode and in the kernel.
///
/// # Panics
/// As for [`resident`].
pub fn processor_time(process: u32) -> Duration {
    // A hundredth of a second, on every Linux that Rust supports.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let (_, after_name) = stat.rsplit_once(')').expect("its name");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| TICK * ticks.parse::<u32>().expect("a number")).sum()
}

/// Returns the processor time of this thread. Other threads and processes, and the time for which
/// this thread waits for a core, do not count.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("it does not run backwards")
}

/// A Markdown table, for the terminal and the README.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these columns.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self { rows: vec![columns.map(Into::into).to_vec()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it under a heading.
    pub fn print(&self, heading: &str) {
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| {
                self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = format!("\n**{heading}**\n\n");
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                for width in &widths {
                    let _ = write!(text, "|{:-<1$}", "", width + 2);
                }
                text.push_str("|\n");
            }
        }
        print!("{text}");
    }
}

/// Formats a duration in a suitable unit.
pub fn time(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_median_and_percentiles() {
        let values = || (0..101).rev().map(f64::from);
        assert_eq!((median(values()), percentile(values(), 0.99)), (50.0, 99.0));
    }

    #[test]
    fn reports_every_side_relative_to_the_first() {
        let work = |runs: u64| move |()| (0..runs).map(black_box).sum::<u64>();
        let figures = Comparison::new()
            .side("once", || (), work(10_000))
            .side("ten times", || (), work(100_000))
            .run(10);
        assert_eq!(figures[0].ratio, 1.0);
        assert!(figures[1].ratio > 2.0, "{figures:?}");
    }
}
