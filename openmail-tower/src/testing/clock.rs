//! [`Clock`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// A clock that stands still until it is set or advanced. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{Secret, VerifyLayer, testing::Clock};
///
/// let clock = Clock::default();
/// let layer = VerifyLayer::new(Secret::new("whsec_test")?).clock(clock.source());
/// clock.advance(Duration::from_secs(301)); // what was signed before is stale now
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<SystemTime>>);

impl Clock {
    /// Creates a clock that shows `time`.
    pub fn new(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Returns the time it shows.
    pub fn now(&self) -> SystemTime {
        // A poisoned lock is harmless: a `SystemTime` is never half-written.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the time.
    pub fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Moves the time forward.
    ///
    /// # Panics
    /// If the result is too late for a [`SystemTime`].
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Returns a function that reads the clock, for
    /// [`VerifyLayer::clock`](crate::VerifyLayer::clock) and
    /// [`Emulator::clock`](super::Emulator::clock).
    pub fn source(&self) -> impl Fn() -> SystemTime + Clone + Send + Sync + 'static {
        let clock = self.clone();
        move || clock.now()
    }
}

/// Creates a clock that shows the time of this call, and stands still.
impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_and_sources_show_the_same_time() {
        let clock = Clock::new(SystemTime::UNIX_EPOCH);
        let (clone, source) = (clock.clone(), clock.source());
        clock.advance(Duration::from_secs(7));
        let seven = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        assert_eq!((clone.now(), source()), (seven, seven));
        clone.set(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
    }
}
