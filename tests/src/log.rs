//! A log in memory.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{Dispatch, Subscriber, subscriber::DefaultGuard};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, dynamic_filter_fn},
    fmt::{MakeWriter, format::FmtSpan},
    layer::SubscriberExt as _,
    registry::LookupSpan,
};

/// Makes `subscriber` this thread's default until the guard is dropped.
///
/// `tracing` caches, for each span and event, whether any subscriber is interested in it. While
/// only one subscriber exists, the first thread that reaches the span or event decides; if that
/// thread has no subscriber, the answer is "never" for all threads. A second subscriber that
/// answers "ask each time" prevents this, so that tests in one process do not disturb each other.
pub fn listen(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static UNDECIDED: LazyLock<Dispatch> =
        LazyLock::new(|| Registry::default().with(dynamic_filter_fn(|_, _| false)).into());
    LazyLock::force(&UNDECIDED);
    tracing::subscriber::set_default(subscriber)
}

/// The lines that a program logs, each with the spans around it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns a layer that writes here, including a line `close` at the end of each span.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(self.clone())
    }

    /// Makes this thread log here, down to `level`.
    pub fn listen(&self, level: tracing::Level) -> DefaultGuard {
        let level = LevelFilter::from_level(level);
        listen(Registry::default().with(level).with(self.layer()))
    }

    /// Returns the whole log.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().expect("no test has panicked");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the lines that contain all of these words.
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test has panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    fn say() {
        tracing::info!("hello");
    }

    #[test]
    fn logs_a_line_that_another_thread_without_a_subscriber_reached_first() {
        let log = Log::default();
        let _listening = log.listen(tracing::Level::INFO);
        std::thread::scope(|scope| scope.spawn(say).join().expect("no panic"));
        say();
        assert_eq!(log.lines(&["hello"]).len(), 1);
    }
}
