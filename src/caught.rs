//! User code that panics: the one place where that is caught.
//!
//! The rooms that run an application's functions run them here, so that a panic fails one
//! call, with an error that says so, and nothing that outlives the call has seen it. Where
//! a program is built with `panic = "abort"`, there is nothing to catch.

use std::any::Any;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// User code panicked. The message is its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user code panicked: {message}")]
#[non_exhaustive]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

impl Panicked {
    /// The stable name of this error: `panicked`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "panicked"
    }

    fn new(panic: Box<dyn Any + Send>) -> Self {
        let message = match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => match panic.downcast::<&'static str>() {
                Ok(message) => (*message).to_owned(),
                Err(other) => {
                    // Dropping a value of the user's could panic once more.
                    std::mem::forget(other);
                    "with a value that is no text".to_owned()
                }
            },
        };
        Self { message }
    }
}

/// Runs user code. What it was changing when it panicked must be dropped by the caller, or
/// moved into it: that is why unwinding may be asserted to be safe.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(Panicked::new)
}

/// The same for code that waits.
pub(crate) async fn caught_async<T>(run: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut run = Some(Box::pin(run));
    let polled = poll_fn(|cx| {
        let Some(running) = &mut run else {
            return Poll::Pending;
        };
        match caught(|| running.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    })
    .await;
    // What is left of it may panic once more when it goes.
    let_go(run);
    polled
}

/// Lets go of what user code has made, which may panic once more when it goes.
pub(crate) fn let_go<T>(value: T) {
    // The message of that panic is nobody's: whoever made the value has been answered.
    let _ = caught(|| drop(value));
}

/// What an error says, with its causes. One of them may be the user's, and panic.
pub(crate) fn chain(error: &dyn Error) -> String {
    let told = caught(|| {
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            told.push_str(": ");
            told.push_str(&error.to_string());
            cause = error.source();
        }
        told
    });
    told.unwrap_or_else(|panicked| panicked.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        let message = |run: fn()| caught(run).unwrap_err().message;
        assert_eq!(message(|| panic!("plain")), "plain");
        assert_eq!(message(|| panic!("number {}", 7)), "number 7");
        assert!(message(|| std::panic::panic_any(7)).contains("no text"));
    }

    #[test]
    fn a_panic_whose_value_panics_when_dropped_is_caught() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(caught(|| std::panic::panic_any(Bomb)).is_err());
        let_go(Bomb);
    }

    #[test]
    fn an_error_that_cannot_be_shown_is_told_all_the_same() {
        #[derive(Debug)]
        struct Wordless;
        impl std::error::Error for Wordless {}
        impl std::fmt::Display for Wordless {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("no words")
            }
        }

        assert_eq!(chain(&Wordless), "user code panicked: no words");
    }
}
