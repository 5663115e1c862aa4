//! Comparisons: several sides do the same work in turn, and each is told as a ratio to the first.
//!
//! Nothing here depends on how fast the machine happens to be: in each round every side gets its
//! turns in between the others', and what is reported is the median of the rounds' ratios.

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

/// How long one side runs in one round, about.
const ROUND: Duration = Duration::from_millis(4);
/// How many inputs lie ready at a time; few, so that they are still in the cache when used.
const BATCH: usize = 16;

type Run<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// Sides to be measured against the first of them.
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
    /// No side yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a side. What `prepare` makes is not part of the time; dropping what `run` gives is.
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

    /// Measures, `rounds` times.
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
                // Whoever comes after the slowest should not always be the same.
                for place in 0..self.sides.len() {
                    let side = (place + turn) % self.sides.len();
                    let time = (self.sides[side].1)(batch);
                    round[side].push(time.as_secs_f64() / batch as f64);
                }
            }
            // The median: another process may have had the core during some of the batches.
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

/// About how long one run takes, warmed up.
fn calibrate(run: &mut Run<'_>) -> Duration {
    let start = Instant::now();
    while start.elapsed() < ROUND {
        run(1);
    }
    (0..5).map(|_| run(1)).min().expect("five")
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value below which this part of all others lies.
///
/// # Panics
/// When there is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of the values' count"
)]
pub fn percentile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// Starts the program anew with an allocator that keeps what it was once given: glibc's gives the
/// top of the heap back to the system and takes it again, whoever's turn it then is.
pub fn steady_allocator() {
    const VARIABLE: &str = "GLIBC_TUNABLES";
    const KEEP: &str =
        "glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824";
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    let error = again.args(env::args_os().skip(1)).env(VARIABLE, KEEP).exec();
    eprintln!("with the allocator as it is: {error}");
}

/// Polls a future that waits for nothing but its own turn until it is ready.
pub fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// How many bytes of a process lie in memory.
///
/// # Panics
/// When there is no such process, or no Linux to ask.
pub fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

/// How long a process has had a core, in the program and in the kernel. Whoever else is at work
/// on the machine does not count.
///
/// # Panics
/// As [`resident`].
pub fn processor_time(process: u32) -> Duration {
    // A hundredth of a second each, on every Linux that Rust runs on.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let (_, after_name) = stat.rsplit_once(')').expect("its name");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| TICK * ticks.parse::<u32>().expect("a number")).sum()
}

/// A table in Markdown, for the terminal and the README alike.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
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

/// A time in the unit that suits it.
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
    fn the_middle_and_the_edge() {
        let values = || (0..101).rev().map(f64::from);
        assert_eq!((median(values()), percentile(values(), 0.99)), (50.0, 99.0));
    }

    #[test]
    fn every_side_is_told_against_the_first() {
        let work = |runs: u64| move |()| (0..runs).map(black_box).sum::<u64>();
        let figures = Comparison::new()
            .side("once", || (), work(10_000))
            .side("ten times", || (), work(100_000))
            .run(10);
        assert_eq!(figures[0].ratio, 1.0);
        assert!(figures[1].ratio > 2.0, "{figures:?}");
    }
}
