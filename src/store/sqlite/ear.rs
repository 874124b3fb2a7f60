//! Sleeping until the bell rings or somebody nudges, time is up, or there is nothing more
//! to hear.
//!
//! On Linux the bell is watched with inotify. Where that cannot be had, as elsewhere, time
//! alone wakes: one user may watch from 128 processes or so at once.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Who listens in this process, for the writer to nudge.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Weak<Ear>>>);

impl Listener {
    /// From now on this one, as long as it is there.
    pub(super) fn is(&self, ear: &Arc<Ear>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(ear);
    }

    /// Wakes it, if there is one.
    pub(super) fn nudge(&self) -> bool {
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listener.upgrade().inspect(|ear| ear.nudge()).is_some()
    }
}

#[cfg(target_os = "linux")]
pub(super) use self::linux::Ear;
#[cfg(not(target_os = "linux"))]
pub(super) use self::plain::Ear;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Result;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fd::OwnedFd;
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use rustix::io::{read, write};

    /// What wakes a thread that listens.
    pub(in crate::store::sqlite) struct Ear {
        bell: Option<OwnedFd>,
        nudged: OwnedFd,
        stop: OwnedFd,
        stopped: AtomicBool,
    }

    impl Ear {
        /// Hears the bell from now on, if one hangs there.
        pub(in crate::store::sqlite) fn at(bell: &Path) -> Result<Self> {
            Ok(Self {
                bell: watch(bell).ok(),
                nudged: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                stopped: AtomicBool::new(false),
            })
        }

        pub(in crate::store::sqlite) fn is_stopped(&self) -> bool {
            self.stopped.load(Ordering::Acquire)
        }

        /// Wakes the thread for good.
        pub(in crate::store::sqlite) fn stop(&self) {
            self.stopped.store(true, Ordering::Release);
            // It can only fail where it was written to before.
            let _ = write(&self.stop, &1_u64.to_ne_bytes());
        }

        /// Wakes the thread once.
        pub(in crate::store::sqlite) fn nudge(&self) {
            // It can only fail where it was nudged before.
            let _ = write(&self.nudged, &1_u64.to_ne_bytes());
        }

        /// Hears nothing for this long, unless it is stopped.
        pub(in crate::store::sqlite) fn pause(&self, pause: Duration) {
            let pause = Timespec::try_from(pause).ok();
            let mut stop = [PollFd::new(&self.stop, PollFlags::IN)];
            let _ = poll(&mut stop, pause.as_ref());
        }

        /// Returns when it was rung, nudged or stopped since the last time, or at the
        /// latest after this long.
        pub(in crate::store::sqlite) fn wait(&self, at_most: Duration) {
            // A time beyond what can be counted is as good as none.
            let at_most = Timespec::try_from(at_most).ok();
            let mut ears: Vec<_> = [Some(&self.stop), Some(&self.nudged), self.bell.as_ref()]
                .into_iter()
                .flatten()
                .map(|fd| PollFd::new(fd, PollFlags::IN))
                .collect();
            // Woken early by a signal, it looks once more than it need.
            let _ = poll(&mut ears, at_most.as_ref());
            // What comes while this reads wakes the next wait.
            let _ = read(&self.nudged, &mut [0_u8; 8]);
            if let Some(bell) = &self.bell {
                while read(bell, &mut [0_u8; 4_096]).is_ok_and(|bytes| bytes > 0) {}
            }
        }
    }

    fn watch(bell: &Path) -> rustix::io::Result<OwnedFd> {
        let watching = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let rung = WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&watching, bell, rung)?;
        Ok(watching)
    }
}

#[cfg(not(target_os = "linux"))]
mod plain {
    use std::io::Result;
    use std::path::Path;
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    /// What wakes a thread that listens.
    #[derive(Default)]
    pub(in crate::store::sqlite) struct Ear {
        heard: Mutex<Heard>,
        woken: Condvar,
    }

    #[derive(Default)]
    struct Heard {
        nudged: bool,
        stopped: bool,
    }

    impl Ear {
        pub(in crate::store::sqlite) fn at(_: &Path) -> Result<Self> {
            Ok(Self::default())
        }

        fn heard(&self) -> MutexGuard<'_, Heard> {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(in crate::store::sqlite) fn is_stopped(&self) -> bool {
            self.heard().stopped
        }

        /// Wakes the thread for good.
        pub(in crate::store::sqlite) fn stop(&self) {
            self.heard().stopped = true;
            self.woken.notify_all();
        }

        /// Wakes the thread once.
        pub(in crate::store::sqlite) fn nudge(&self) {
            self.heard().nudged = true;
            self.woken.notify_all();
        }

        /// Hears nothing for this long, unless it is stopped.
        pub(in crate::store::sqlite) fn pause(&self, pause: Duration) {
            self.wait_while(pause, |heard| !heard.stopped);
        }

        /// Returns when it was nudged or stopped since the last time, or at the latest
        /// after this long.
        pub(in crate::store::sqlite) fn wait(&self, at_most: Duration) {
            self.wait_while(at_most, |heard| !heard.stopped && !heard.nudged);
            self.heard().nudged = false;
        }

        fn wait_while(&self, at_most: Duration, waits: impl Fn(&Heard) -> bool) {
            let waited = self
                .woken
                .wait_timeout_while(self.heard(), at_most, |heard| waits(heard));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}
