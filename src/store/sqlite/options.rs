//! How a store in a SQLite file is set up.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::store::derived::Derivation;
use crate::store::hook::CommitHook;
use crate::store::limits::Limits;

/// What an acknowledged commit survives.
///
/// | | process killed | machine crashes | power lost |
/// |---|---|---|---|
/// | `Full` | kept | kept | kept |
/// | `Normal` | kept | the last commits may be lost, the file stays whole | the same |
/// | `Off` | kept | the file may be damaged | the same |
///
/// It rests on a disk that keeps what it says it has flushed. The file system must
/// be local: SQLite's write-ahead log does not work over a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Each batch of commits is on stable storage before any of its callers is
    /// answered: SQLite's `synchronous=FULL`, and on macOS `fullfsync`.
    #[default]
    Full,
    /// The log is flushed at checkpoints only: `synchronous=NORMAL`.
    Normal,
    /// Nothing is flushed: `synchronous=OFF`. For files that can be made again.
    Off,
}

impl Durability {
    /// What SQLite calls it.
    pub(super) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }
}

/// Which thread makes a commit.
///
/// Whichever it is, an answer is given after the COMMIT, commits that come together share
/// one, and everything else that is promised holds.
///
/// What it comes to on two quiet cores, medians of a commit of one event, against bare
/// SQLite:
///
/// | | bare | `Writer` | `CallerIfIdle` |
/// |---|---|---|---|
/// | one caller, [`Durability::Full`] | 153 µs | 234 µs | 165 µs |
/// | one caller, [`Durability::Off`] | | 95 µs | 22 µs |
/// | commits/s of 64 callers, `Full` | | 69,000 | 67,000 |
/// | commits/s of 256 callers, `Full` | | 95,000 | 98,000 |
///
/// ```
/// use annalist::store::sqlite::{CommitThread, SqliteOptions};
///
/// let mut options = SqliteOptions::default();
/// options.commit_thread = CommitThread::CallerIfIdle;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitThread {
    /// The store's own. Callers only wait, and their threads do other things meanwhile. To
    /// wake it and to be woken is what one caller alone waits longer for.
    #[default]
    Writer,
    /// The caller's, if nobody is writing and callers come one at a time; the store's own
    /// else.
    ///
    /// **It blocks the caller's thread** until the disk has flushed: other tasks of that thread
    /// wait, for 150 µs on one disk and for 10 ms on another, and now and then as long as it
    /// takes to move [`checkpoint_pages`](SqliteOptions::checkpoint_pages) into the file, which
    /// is why it is not the default. It is for programs that write from one place at a time,
    /// such as tools, imports and tests, or on a thread of their own. After each commit the
    /// thread's other tasks have their turn, and what they commit in it goes to the writer's
    /// thread.
    ///
    /// A caller waits for nothing but the disk so: the store's own thread waits for other
    /// processes that write. It also does what is larger than 64 KiB, all that is no append,
    /// and everything in a store with [`hooks`](SqliteOptions::hooks) or
    /// [`inline`](SqliteOptions::inline) projections, whose code runs there alone. Read models
    /// that are written through [`Store::database`](crate::Store::database) are compiled anew
    /// there whenever that thread has slept.
    CallerIfIdle,
}

/// Options of a store in a SQLite file.
///
/// ```
/// use std::time::Duration;
/// use annalist::store::sqlite::SqliteOptions;
///
/// let mut options = SqliteOptions::default();
/// options.busy_timeout = Duration::from_secs(1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// What the store takes at most.
    pub limits: Limits,
    /// Where `recorded_at` comes from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// What an acknowledged commit survives. Default [`Durability::Full`].
    pub durability: Durability,
    /// Which thread makes a commit. Default [`CommitThread::Writer`].
    pub commit_thread: CommitThread,
    /// How long a write waits for another process that is writing, before it is
    /// answered with `Busy`. Default 5 seconds.
    pub busy_timeout: Duration,
    /// Commits that may wait for the writer. Default 4,096.
    pub queue_commits_max: usize,
    /// Bytes of memory that those commits may take up: payloads, metadata, and what is
    /// kept beside each event. A commit that is larger alone waits until the queue is
    /// empty and has it to itself. Default 64 MiB.
    pub queue_bytes_max: usize,
    /// How long a caller waits for a place in that queue, before it is answered
    /// with `Overloaded`. A caller that waits holds its commit itself. Default 5 seconds.
    pub queue_timeout: Duration,
    /// Commits that are written in one transaction. Default 512.
    pub batch_commits_max: usize,
    /// Bytes of payload and metadata after which a transaction takes no further
    /// commit. Default 256 KiB.
    pub batch_bytes_max: usize,
    /// Threads that read, each with a connection of its own. Default one for each
    /// core, at most 4.
    pub readers: usize,
    /// Bytes of pages that the writer keeps. Default 64 MiB.
    pub writer_cache_bytes: usize,
    /// Bytes of pages that all readers keep together. Default 16 MiB.
    pub reader_cache_bytes: usize,
    /// Streams whose version the writer keeps. Default 65,536.
    pub streams_cached_max: usize,
    /// Code that is called inside the transaction of each commit, in this order. Default
    /// none, which is faster.
    pub hooks: Vec<Arc<dyn CommitHook>>,
    /// Projections that are filled inside the transaction of each commit, made by
    /// [`projection::inline`](crate::projection::inline). They are recorded in the file:
    /// opening catches up with them, and a process that lacks one cannot append. Default
    /// none.
    pub inline: Vec<Derivation>,
    /// Pages of 4 KiB in the write-ahead log after which the writer moves them into
    /// the file. Default 4,000.
    pub checkpoint_pages: u32,
    /// How often it is looked, while a subscription waits, whether another process has
    /// committed something and its bell was not heard. Commits of this process are told at
    /// once, and on Linux so are those of others. At least 1 ms. Default 50 ms.
    pub poll_interval: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            commit_thread: CommitThread::default(),
            busy_timeout: Duration::from_secs(5),
            queue_commits_max: 4_096,
            queue_bytes_max: 64 * 1024 * 1024,
            queue_timeout: Duration::from_secs(5),
            batch_commits_max: 512,
            batch_bytes_max: 256 * 1024,
            readers: cores.min(4),
            writer_cache_bytes: 64 * 1024 * 1024,
            reader_cache_bytes: 16 * 1024 * 1024,
            streams_cached_max: 65_536,
            hooks: Vec::new(),
            inline: Vec::new(),
            checkpoint_pages: 4_000,
            poll_interval: Duration::from_millis(50),
        }
    }
}
