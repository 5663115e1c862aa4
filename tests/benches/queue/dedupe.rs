//! Sends events through a `Dedupe`: each is claimed, run and completed.

use std::time::{Duration, Instant};

use openmail_tests::measure::{Table, median, percentile, time};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    layers::dedupe::{DedupeLayer, DedupeStore},
};
use tower::{Layer, service_fn};

use crate::{ROUNDS, load};

const AT_ONCE: usize = 64;
const EVENTS: usize = 10_000;
/// The number of events in a store at the end.
pub(crate) const KEPT: usize = EVENTS * (ROUNDS + 1);

/// Returns the rate of each round, in events per second, and the time of each event.
pub(crate) async fn rounds<St: DedupeStore>(store: St) -> (Vec<f64>, Vec<f64>) {
    let events = service_fn(async |_: VerifiedEvent| Ok::<_, HandlerError>(Outcome::Done));
    let layer = DedupeLayer::new(store);
    let dedupe = layer.layer(events);
    let (mut rates, mut times) = (Vec::new(), Vec::new());
    // The first round is a warm-up.
    for round in 0..=ROUNDS {
        let events = load::mails(EVENTS, 1);
        let begun = Instant::now();
        let took = load::enqueue(&dedupe, events, AT_ONCE).await;
        if round > 0 {
            rates.push(EVENTS as f64 / begun.elapsed().as_secs_f64());
            times.extend(took);
        }
    }
    assert_eq!(layer.shutdown(Duration::from_secs(30)).await, 0);
    (rates, times)
}

pub(crate) fn table() -> Table {
    Table::new(["store", "claimed and completed a second", "p99"])
}

pub(crate) fn row(table: &mut Table, name: &str, (rates, times): &(Vec<f64>, Vec<f64>)) {
    let p99 = percentile(times.iter().copied(), 0.99);
    let rate = median(rates.iter().copied());
    table.row([name.into(), format!("{rate:.0}"), time(Duration::from_secs_f64(p99))]);
}
