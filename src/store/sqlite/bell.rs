//! Telling that something was committed: the followers in this process directly, those in
//! others by a doorbell, a file of eight bytes beside the store.
//!
//! The bell is no part of the data. Nobody believes what it says, only that it was rung:
//! who hears it reads the head. Where it cannot be hung, or is gone, others poll. So
//! nothing here fails, and nothing here is waited for.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::ear::Listener;
use super::row::position;
use crate::store::changes::ring;
use crate::version::Position;

/// Whom the writer tells after each commit.
pub(super) struct News {
    heads: watch::Sender<Position>,
    listener: Listener,
    bell: Bell,
    /// What was told last.
    told: i64,
}

impl News {
    /// Beside a store that is open, and so is found to be ours.
    pub(super) fn of(path: &Path, heads: watch::Sender<Position>, listener: Listener) -> Self {
        Self {
            heads,
            listener,
            bell: Bell::hang(path),
            told: 0,
        }
    }

    /// Tells the followers in this process that all up to here is committed. To wake many
    /// takes as long as to commit, so that is left to the thread that listens.
    pub(super) fn tell_near(&self, head: i64) {
        let few = self.heads.receiver_count() <= FOLLOWERS_FEW;
        if few || !self.listener.nudge() {
            ring(&self.heads, position(head));
        }
    }

    /// Tells those in other processes, once.
    pub(super) fn tell_far(&mut self, head: i64) {
        if head > self.told {
            self.told = head;
            self.bell.ring(head);
        }
    }
}

/// So many followers the writer wakes itself.
pub(super) const FOLLOWERS_FEW: usize = 8;

/// Where the bell of a store hangs.
pub(super) fn bell_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push("-bell");
    PathBuf::from(name)
}

/// What is rung. Nobody could hear it but on Linux, so there is none elsewhere.
#[cfg(not(target_os = "linux"))]
struct Bell;

#[cfg(not(target_os = "linux"))]
impl Bell {
    fn hang(_: &Path) -> Self {
        Self
    }

    fn ring(&self, _: i64) {}
}

#[cfg(target_os = "linux")]
use self::linux::Bell;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{File, OpenOptions, Permissions};
    use std::io::{ErrorKind, Result};
    use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
    use std::path::Path;

    use rustix::fs::OFlags;

    use super::bell_path;

    /// What is rung, if it could be hung.
    pub(super) struct Bell(Option<File>);

    impl Bell {
        const BYTES: u64 = 8;

        pub(super) fn hang(store: &Path) -> Self {
            Self(Self::open(store).ok().flatten())
        }

        /// A file of the store's owner and with the store's rights, as SQLite's files
        /// beside it are. One that was there must look like a bell: what somebody has put
        /// in its place, such as a link to a file that matters, is not written to.
        fn open(store: &Path) -> Result<Option<File>> {
            let path = bell_path(store);
            let store = std::fs::metadata(store)?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).mode(0o600);
            // Nor is a link followed, or a pipe waited for.
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
            options.custom_flags(flags.bits().cast_signed());
            let file = match options.create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    options.create_new(false).open(&path)?
                }
                made => {
                    let file = made?;
                    // Best effort: without them it is its maker's alone.
                    let rights = Permissions::from_mode(store.mode() & 0o777);
                    let _ = file.set_permissions(rights);
                    // Root may have opened a store of another user's.
                    let _ = fchown(&file, Some(store.uid()), Some(store.gid()));
                    file
                }
            };
            let found = file.metadata()?;
            let is_bell = found.is_file()
                && found.nlink() == 1
                && found.len() <= Self::BYTES
                && found.uid() == store.uid();
            Ok(is_bell.then_some(file))
        }

        pub(super) fn ring(&self, head: i64) {
            if let Self(Some(file)) = self {
                // Whoever does not hear it polls.
                let _ = file.write_at(&head.to_le_bytes(), 0);
            }
        }
    }
}
