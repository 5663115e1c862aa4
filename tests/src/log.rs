//! A log in memory.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::{
    Layer, Registry,
    fmt::{MakeWriter, format::FmtSpan},
    registry::LookupSpan,
};

/// The lines that a program logs, each with the spans around it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// A layer that writes here, also a line `close` at the end of each span.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(self.clone())
    }

    /// Has this thread log here, down to `level`.
    pub fn listen(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        use tracing_subscriber::layer::SubscriberExt as _;
        let level = tracing_subscriber::filter::LevelFilter::from_level(level);
        let subscriber = Registry::default().with(level).with(self.layer());
        tracing::subscriber::set_default(subscriber)
    }

    /// All of it.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().expect("no test has panicked");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines that have all of these words in them.
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
