//! Panics that are looked for say nothing on standard error: a hunt meets the same one a
//! hundred times while it makes a case smaller, and tells it once.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something with this thread's panics unheard. They are as they were otherwise.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let heard = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                heard(info);
            }
        }));
    });
    let _loud_again = Again(QUIET.replace(true));
    run()
}

/// What it was before, also where a panic goes through.
struct Again(bool);

impl Drop for Again {
    fn drop(&mut self) {
        QUIET.set(self.0);
    }
}
