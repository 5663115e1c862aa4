//! [`Keys`]: the keys of a metric.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, with_recorder};

/// The keys of one metric, by the values of its labels.
///
/// Building a key hashes and allocates, so each is built once, when its values first occur. If all
/// slots are taken, the key is built each time. Bounded labels never need that many.
#[derive(Debug)]
pub(super) struct Keys<const LABELS: usize> {
    name: &'static str,
    labels: [&'static str; LABELS],
    slots: [OnceLock<([&'static str; LABELS], Key)>; 128],
}

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl<const LABELS: usize> Keys<LABELS> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self { name, labels, slots: [const { OnceLock::new() }; 128] }
    }

    pub(super) fn counter(&self, values: [&'static str; LABELS]) -> Counter {
        self.with(values, |key| with_recorder(|it| it.register_counter(key, &METADATA)))
    }

    pub(super) fn gauge(&self, values: [&'static str; LABELS]) -> Gauge {
        self.with(values, |key| with_recorder(|it| it.register_gauge(key, &METADATA)))
    }

    pub(super) fn histogram(&self, values: [&'static str; LABELS]) -> Histogram {
        self.with(values, |key| with_recorder(|it| it.register_histogram(key, &METADATA)))
    }

    fn with<T>(&self, values: [&'static str; LABELS], register: impl FnOnce(&Key) -> T) -> T {
        for slot in &self.slots {
            let (held, key) = slot.get_or_init(|| (values, self.build(values)));
            if *held == values {
                return register(key);
            }
        }
        register(&self.build(values))
    }

    fn build(&self, values: [&'static str; LABELS]) -> Key {
        let labels = self.labels.into_iter().zip(values);
        let labels: Vec<_> =
            labels.map(|(label, value)| Label::from_static_parts(label, value)).collect();
        Key::from_parts(self.name, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_a_key_for_each_set_of_values_and_builds_the_rest() {
        static KEYS: Keys<2> = Keys::new("some_total", ["event", "outcome"]);
        let values = ["event", "outcome"];
        let expected = Key::from_parts(
            "some_total",
            vec![Label::new("event", "event"), Label::new("outcome", "outcome")],
        );
        let address = KEYS.with(values, |key| {
            assert_eq!(*key, expected);
            std::ptr::from_ref(key) as usize
        });
        assert_eq!(KEYS.with(values, |key| std::ptr::from_ref(key) as usize), address);
        for number in 0..200 {
            let value: &'static str = Box::leak(number.to_string().into_boxed_str());
            let expected = Key::from_parts(
                "some_total",
                vec![Label::new("event", value), Label::new("outcome", "outcome")],
            );
            KEYS.with([value, "outcome"], |key| assert_eq!(*key, expected));
        }
    }
}
