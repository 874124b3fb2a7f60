//! The recorder of this process. The tests take turns with it, since the writer of a store is
//! a thread of its own, and reports to no other one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

static RECORDED: LazyLock<Arc<Recorded>> = LazyLock::new(|| {
    let recorded = Arc::<Recorded>::default();
    metrics::set_global_recorder(All(Arc::clone(&recorded))).expect("the only recorder");
    recorded
});

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(Default)]
struct Recorded {
    counts: Mutex<BTreeMap<String, u64>>,
    values: Mutex<BTreeMap<String, Vec<f64>>>,
    described: Mutex<BTreeMap<String, (Option<Unit>, String)>>,
    falls: AtomicBool,
}

/// A turn with the recorder, from nothing on.
pub(crate) struct Figures {
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Figures {
    pub(crate) async fn from_nothing() -> Self {
        let figures = Self {
            _turn: TURN.lock().await,
        };
        figures.take();
        figures
    }

    /// Forgets all.
    pub(crate) fn take(&self) {
        RECORDED.falls.store(false, Ordering::Relaxed);
        RECORDED.counts.lock().expect("no one panics").clear();
        RECORDED.values.lock().expect("no one panics").clear();
    }

    /// Each count, such as `annalist_conflicts_total command=take resolution=redecide: 1`,
    /// without the category `shelf`.
    pub(crate) fn counts(&self) -> Vec<String> {
        let counts = RECORDED.counts.lock().expect("no one panics");
        let counts = counts.iter().map(|(key, count)| format!("{key}: {count}"));
        counts.collect()
    }

    pub(crate) fn values(&self, key: &str) -> Vec<f64> {
        let values = RECORDED.values.lock().expect("no one panics");
        values.get(key).cloned().unwrap_or_default()
    }

    /// The histograms that were given a value.
    pub(crate) fn histograms(&self) -> Vec<String> {
        let values = RECORDED.values.lock().expect("no one panics");
        values.keys().cloned().collect()
    }

    pub(crate) fn described(&self) -> BTreeMap<String, (Option<Unit>, String)> {
        RECORDED.described.lock().expect("no one panics").clone()
    }

    /// Lets the recorder panic from now on.
    pub(crate) fn fall(&self) {
        RECORDED.falls.store(true, Ordering::Relaxed);
    }
}

struct All(Arc<Recorded>);

struct One {
    key: String,
    all: Arc<Recorded>,
}

impl All {
    fn one(&self, key: &Key) -> Arc<One> {
        assert!(!self.0.falls.load(Ordering::Relaxed), "the recorder fell");
        let labels = key.labels().filter(|label| label.value() != "shelf");
        let labels = labels.map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(One {
            key: format!("{}{}", key.name(), labels.collect::<String>()),
            all: Arc::clone(&self.0),
        })
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, meaning: &SharedString) {
        let mut described = self.0.described.lock().expect("no one panics");
        described.insert(name.as_str().to_owned(), (unit, meaning.to_string()));
    }
}

impl Recorder for All {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.describe(&name, unit, &meaning);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.describe(&name, unit, &meaning);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.describe(&name, unit, &meaning);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("{key} is a gauge: which of several stores would it be of?");
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

impl CounterFn for One {
    fn increment(&self, by: u64) {
        let mut counts = self.all.counts.lock().expect("no one panics");
        *counts.entry(self.key.clone()).or_default() += by;
    }

    fn absolute(&self, _: u64) {
        panic!("{} is counted, not set", self.key);
    }
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        let mut values = self.all.values.lock().expect("no one panics");
        values.entry(self.key.clone()).or_default().push(value);
    }
}
