//! Measures the rates at which events are enqueued and run.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use openmail_tests::{
    event,
    measure::{Table, median, percentile, time},
};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, QueueStore},
};
use tokio::{sync::Notify, task::JoinSet};
use tower::{Service, service_fn};

/// The number of concurrent writes, and the number of events per round.
const ACKS: [(usize, usize); 3] = [(1, 200), (16, 2_000), (64, 5_000)];
/// The number of inboxes to which the events belong.
const INBOXES: usize = 100;
/// The number of concurrent runs.
const RUNS_AT_ONCE: usize = 64;

/// The figures of one round, or of all rounds.
#[derive(Default)]
pub(crate) struct Figures {
    /// Rates per second, and the time of each write, by concurrency.
    acks: [(Vec<f64>, Vec<f64>); ACKS.len()],
    runs: Vec<f64>,
    /// The rates if all events belong to one inbox, which may use three quarters of the runs.
    runs_of_one: Vec<f64>,
}

impl Figures {
    pub(crate) fn add(&mut self, round: Self) {
        for ((rates, times), (rate, time)) in self.acks.iter_mut().zip(round.acks) {
            rates.extend(rate);
            times.extend(time);
        }
        self.runs.extend(round.runs);
        self.runs_of_one.extend(round.runs_of_one);
    }
}

/// Writes events of many inboxes and runs them all, and then as many events of one inbox.
pub(crate) async fn round<St: QueueStore>(queue: &Enqueue<St>) -> Figures {
    let mut figures = Figures::default();
    for ((at_once, count), (rates, times)) in ACKS.into_iter().zip(&mut figures.acks) {
        let events = mails(count, INBOXES);
        let begun = Instant::now();
        times.extend(enqueue(queue, events, at_once).await);
        rates.push(count as f64 / begun.elapsed().as_secs_f64());
    }
    let count = ACKS.iter().map(|(_, count)| count).sum();
    figures.runs.push(work(queue, count).await);
    enqueue(queue, mails(count, 1), RUNS_AT_ONCE).await;
    figures.runs_of_one.push(work(queue, count).await);
    figures
}

/// Returns `count` mails of about 1 KiB, each in its own thread, addressed to `inboxes` inboxes in
/// turn.
pub(crate) fn mails(count: usize, inboxes: usize) -> Vec<VerifiedEvent> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // A Redis server may still have the events of another run of this program.
    static PROGRAM: LazyLock<u32> = LazyLock::new(|| fastrand::u32(..));
    let text = "lorem ipsum ".repeat(60);
    let mail = |_| {
        let (program, number) = (*PROGRAM, NEXT.fetch_add(1, Ordering::Relaxed));
        let inbox = number % inboxes;
        event(format!(
            r#"{{"event":"message.received","event_id":"evt_{program}_{number}","inbox_id":"inb_{inbox}",
                "thread_id":"thr_{number}","message":{{"id":"msg_1","from":"a@example.com",
                "body_text":"{text}"}}}}"#,
        ))
    };
    (0..count).map(mail).collect()
}

/// Enqueues the events with this concurrency. Returns the seconds that each took.
pub(crate) async fn enqueue<E>(service: &E, events: Vec<VerifiedEvent>, at_once: usize) -> Vec<f64>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: std::fmt::Debug,
    E::Future: Send,
{
    let mut lots: Vec<Vec<_>> = (0..at_once).map(|_| Vec::new()).collect();
    for (number, event) in events.into_iter().enumerate() {
        lots[number % at_once].push(event);
    }
    let mut tasks = JoinSet::new();
    for lot in lots {
        let mut service = service.clone();
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(lot.len());
            for event in lot {
                let begun = Instant::now();
                let outcome = service.call(event).await.expect("the event is accepted");
                assert!(matches!(outcome, Outcome::Done | Outcome::Queued), "{outcome:?}");
                times.push(begun.elapsed().as_secs_f64());
            }
            times
        });
    }
    tasks.join_all().await.concat()
}

/// Runs this many events. Returns the rate per second.
async fn work<St: QueueStore>(queue: &Enqueue<St>, count: usize) -> f64 {
    let begun = Instant::now();
    let (ran, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let events = {
        let (ran, all) = (Arc::clone(&ran), Arc::clone(&all));
        service_fn(move |_: VerifiedEvent| {
            if ran.fetch_add(1, Ordering::Relaxed) + 1 == count {
                all.notify_one();
            }
            async { Ok::<_, HandlerError>(Outcome::Done) }
        })
    };
    queue.worker(events).concurrency(RUNS_AT_ONCE).run(all.notified()).await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    let counts = queue.store().counts().await.expect("a count");
    assert_eq!(counts.open() + counts.dead, 0);
    rate
}

pub(crate) fn report(name: &str, count: u32, sides: &[Figures; 2], disk: &[f64]) {
    let flushes = median(disk.iter().copied());
    let columns = ["finished rows", "what", "a second", "× empty", "× flushes", "p99"];
    let mut table = Table::new(columns);
    for (finished, its) in [0, count].into_iter().zip(sides) {
        let mut row = |what: String, rates: fn(&Figures) -> &Vec<f64>, p99: String| {
            let ratios = rates(its).iter().zip(rates(&sides[0])).map(|(its, empty)| its / empty);
            let ratio = format!("{:.2}", median(ratios));
            let rate = median(rates(its).iter().copied());
            let [rate, times] = [format!("{rate:.0}"), format!("{:.1}", rate / flushes)];
            table.row([finished.to_string(), what, rate, ratio, times, p99]);
        };
        for (index, (at_once, _)) in ACKS.into_iter().enumerate() {
            let p99 = percentile(its.acks[index].1.iter().copied(), 0.99);
            let p99 = time(Duration::from_secs_f64(p99));
            row(format!("acks, {at_once} at once"), ACK_RATES[index], p99);
        }
        row("processed".into(), |figures| &figures.runs, String::new());
        row("processed, of one inbox".into(), |figures| &figures.runs_of_one, String::new());
    }
    table.print(&format!("{name}; the disk alone: {flushes:.0} flushes a second"));
}

/// One function for each of [`ACKS`].
const ACK_RATES: [fn(&Figures) -> &Vec<f64>; ACKS.len()] =
    [|figures| &figures.acks[0].0, |figures| &figures.acks[1].0, |figures| &figures.acks[2].0];
