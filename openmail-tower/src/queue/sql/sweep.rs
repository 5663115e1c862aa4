//! When and where a store searches for stalled lanes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The interval between two searches of all lanes.
const INTERVAL: Duration = Duration::from_secs(5);

/// The progress of the search, which examines a page of lanes at a time.
#[derive(Debug)]
pub(in crate::queue) struct Sweep(Mutex<Next>);

#[derive(Debug)]
struct Next {
    after: String,
    at: Instant,
}

impl Sweep {
    pub(in crate::queue) fn new() -> Self {
        Self(Mutex::new(Next { after: String::new(), at: Instant::now() }))
    }

    /// Begins a page if one is due. Returns the lane after which it begins.
    pub(in crate::queue) fn begin(&self) -> Option<String> {
        let mut next = self.next();
        if next.at > Instant::now() {
            return None;
        }
        next.at = Instant::now() + INTERVAL;
        Some(next.after.clone())
    }

    /// Ends a page. If more lanes follow, `last` is the last lane examined, and the next page is
    /// due at once.
    pub(in crate::queue) fn end(&self, last: Option<String>) {
        let mut next = self.next();
        match last {
            Some(lane) => *next = Next { after: lane, at: Instant::now() },
            None => next.after.clear(),
        }
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn continues_page_by_page_and_starts_over_after_the_interval() {
        let sweep = Sweep::new();
        assert_eq!(sweep.begin().as_deref(), Some(""));
        assert_eq!(sweep.begin(), None, "a page is in progress");
        sweep.end(Some("m".to_owned()));
        assert_eq!(sweep.begin().as_deref(), Some("m"));
        sweep.end(None);
        assert_eq!(sweep.begin(), None);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(sweep.begin().as_deref(), Some(""));
    }

    #[tokio::test(start_paused = true)]
    async fn page_that_failed_is_repeated_after_the_interval() {
        let sweep = Sweep::new();
        sweep.begin();
        sweep.end(Some("m".to_owned()));
        sweep.begin();
        assert_eq!(sweep.begin(), None);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(sweep.begin().as_deref(), Some("m"));
    }
}
