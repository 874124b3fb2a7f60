//! Listens to all that is told to logs.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Subscriber};

/// Keeps everything that is told at any level.
#[derive(Clone, Default)]
struct Heard {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

struct Noted<'a>(&'a mut String);

impl Visit for Noted<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = self.text.lock().expect("no one panics");
        let _ = write!(text, "\nspan {}", span.metadata().name());
        span.record(&mut Noted(&mut text));
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::SeqCst))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Noted(&mut self.text.lock().expect("no one panics")));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.text.lock().expect("no one panics");
        let _ = write!(text, "\n{}", event.metadata().level());
        event.record(&mut Noted(&mut text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is told at any level while this runs, in this thread.
pub(crate) fn heard(run: impl Future<Output = ()>) -> String {
    let heard = Heard::default();
    let text = Arc::clone(&heard.text);
    // While there is one subscriber, tracing asks that of the thread which comes by first,
    // and keeps what it says: the thread of another test has none. Of two, both are asked.
    let _second = tracing::Dispatch::new(Heard::default());
    with_default(heard, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(run);
    });
    text.lock().expect("no one panics").clone()
}
