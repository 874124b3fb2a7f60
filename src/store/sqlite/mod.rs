//! The durable store: one SQLite file, one thread that writes, several that read.
//!
//! In the order that a commit takes, then a read:
//!
//! | room | what it is for |
//! |---|---|
//! | `options` | how the store is set up; [`Durability`] |
//! | `schema` | opens the file, makes the tables of `schema.sql`, refuses what is not ours |
//! | `migrate` | brings the file of an older release to this one's schema |
//! | `identity` | what tells this store from every other |
//! | `inlet` | the queue in front of a thread |
//! | `backend` | the contract, answered by the threads behind it |
//! | `access` | the writer and the readers, as callers reach them |
//! | `pen` | what whoever writes must hold: the writer's thread, or a caller |
//! | `writer` | one turn at writing: group commit, answers after the commit |
//! | `known` | what is known of the file from one turn to the next |
//! | `bell` | tells the followers, also those in other processes |
//! | `job` | what whoever writes is asked, and who waits for the answer |
//! | `head` | how far the store has come |
//! | `lock` | the write lock, waited for |
//! | `transaction` | the write lock, from BEGIN to COMMIT |
//! | `tail` | where a stream ends, believed when what stands beside it agrees |
//! | `streams` | the streams that the writer knows |
//! | `append` | one commit inside that transaction |
//! | `keys` | the commit keys that took effect |
//! | `remove` | one removal inside that transaction, and compaction |
//! | `snapshots` | states that are kept, so that events need not be read again |
//! | `leases` | the leases that were granted |
//! | `hooks` | code of the application's around one commit or removal |
//! | `code` | runs it, and tells what became of it |
//! | `inline` | read models that are filled on the way |
//! | `statements` | what it runs there |
//! | `guard` | what its statements may do |
//! | `database` | another file, for read models alone |
//! | `removals` | what was removed from which stream |
//! | `pool` | the threads that read |
//! | `reader` | one read on one connection |
//! | `versions` | reads of one stream: of its events, and folded on the way |
//! | `glance` | a look at where a stream stands, on the caller's own thread |
//! | `positions` | reads over all streams: of events, and of the feed |
//! | `info` | what a stream is, and which there are |
//! | `walk` | the numbers of a page, and which one is due |
//! | `listen` | hears what other processes commit, while there are followers |
//! | `ear` | sleeps until the bell rings, or the writer nudges |
//! | `verify` | looks at every row |
//! | `backup` | copies the file while it is in use |
//! | `names` | the small numbers that stand for names |
//! | `row` | one event's row and its checksum |
//! | `fault` | SQLite's errors in the store's words |
//!
//! # What is refused
//!
//! A file is opened if it is empty or a store of this release or an older one. Anything else
//! is refused and left as it is, with all that lies beside it. On Unix a file that belongs
//! to another user is refused too, whatever its rights: its owner could change it behind
//! the store's back. Run as its owner, or give the file to the user who runs this; root may
//! open any file. A new file has the mode 0600 whatever the umask, and what SQLite puts
//! beside it has the mode of the file.
//!
//! SQLite's `user_version` is left to the application.
//!
//! # Beside the file
//!
//! SQLite puts its log there (`-wal`, `-shm`), which is part of the store while it is open
//! or was not closed. On Linux there is also a doorbell (`-bell`), eight bytes by which
//! the processes that write wake those that [follow](crate::Store::subscribe). It is no
//! part of the store: it need not be copied, and may be removed while nobody has the store
//! open. Without it, as on other systems, a subscription hears of other processes by
//! polling alone, see [`SqliteOptions::poll_interval`].
//!
//! # What damage shows as
//!
//! A read answers what was written, or an error. What an index does not find is looked for
//! a second way, since a damaged page hides what is there: of 20,000 single bits flipped
//! anywhere and in indexes (`tests/sqlite/flips.rs`), no read answered wrong and no append
//! landed under an old version; [`Store::verify`](crate::Store::verify) or opening told of
//! every flip that changed an answer. What one look believes of an index all the same:
//!
//! - That an event or a commit key was **not sent before**, where the expectation would
//!   hold all the same, as `Any` does: then a repeat is written again. 157 of 10,000 flips in
//!   pages of indexes hid one that the test sent again. Under an exact expectation such a
//!   repeat is told as damage or refused.
//! - That an event is not among those before the last 10,000 of its stream, by
//!   [`find_event`](crate::Store::find_event).
//! - That a list of more than 100,000 streams is whole.
//! - Where a stream ends, if what a damaged page hides ends exactly there.
//!
//! `verify` sees each of these.
#![doc = include_str!("faults.md")]

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use self::access::Access;
use self::bell::News;
use self::ear::Listener;
use self::fault::fault;
use self::glance::Glance;
use self::guard::Guard;
use self::inlet::{Gone, Here, Outlet, here, queue};
use self::job::Job;
use self::listen::Listeners;
use self::pen::{Pen, Stand};
use self::pool::Pool;
use self::reader::Reader;
use crate::store::backend::StoreIdentity;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::version::Position;

mod access;
mod append;
mod backend;
mod backup;
mod bell;
mod code;
mod database;
mod ear;
mod fault;
mod glance;
mod guard;
mod head;
mod hooks;
mod identity;
mod info;
mod inlet;
mod inline;
mod job;
mod keys;
mod known;
mod leases;
mod listen;
mod lock;
mod migrate;
mod names;
mod options;
mod pen;
mod pool;
mod positions;
mod reader;
mod removals;
mod remove;
mod row;
mod schema;
mod snapshots;
mod statements;
mod streams;
mod tail;
mod transaction;
mod verify;
mod versions;
mod walk;
mod writer;

pub use database::DatabaseOptions;
pub use options::{CommitThread, Durability, SqliteOptions};

/// The store in a SQLite file.
pub(super) struct SqliteStore {
    access: Arc<Access>,
    glance: Glance,
    identity: StoreIdentity,
    listeners: Listeners,
    /// Held by whoever else reads the file, which is not closed before; gone once the
    /// store is closing.
    guests: Weak<Here>,
    /// Turns true when the writer has closed the file.
    ended: watch::Receiver<bool>,
}

impl SqliteStore {
    /// Opens the file on the thread that will write to it.
    pub(super) async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        // Told here, and not first when a queue is full: waiting for a place is timed.
        drop(tokio::time::sleep(Duration::ZERO));
        let (jobs, queue) = queue(options.queue_commits_max, options.queue_bytes_max);
        let (opened, is_open) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let (here, guests_gone) = here();
        let guests = Arc::downgrade(&here);
        let stand = Arc::new(Stand::default());
        let writer = Opening {
            path: schema::plain_path(path)?,
            options: options.clone(),
            stand: Arc::clone(&stand),
            heads: watch::Sender::default(),
            listener: Listener::default(),
        };
        let path = writer.path.clone();
        let told = (writer.heads.clone(), writer.listener.clone());
        let listeners = Listeners::new(path.clone(), options.clone(), told, guests.clone());
        thread::Builder::new()
            .name("annalist-writer".to_owned())
            .spawn(move || {
                writer.run(queue, opened, (here, guests_gone));
                let _ = ending.send(true);
            })
            .map_err(|error| no_thread(error, &path))?;
        let (readers, glancing, identity) =
            is_open.await.map_err(|_| stopped("opening", &path))??;
        let access = Access {
            path,
            options,
            jobs,
            stand,
            others_wait: AtomicBool::new(false),
            readers,
        };
        Ok(Self {
            access: Arc::new(access),
            glance: Glance::new(glancing, guests.upgrade()),
            identity,
            listeners,
            guests,
            ended,
        })
    }
}

/// What the writer's thread hands over once the file is open.
type Opened = (Pool, Reader, StoreIdentity);

/// What the writer's thread starts from.
struct Opening {
    path: PathBuf,
    options: SqliteOptions,
    stand: Arc<Stand>,
    /// Told the head after each commit.
    heads: watch::Sender<Position>,
    /// Who tells it to many.
    listener: Listener,
}

impl Opening {
    fn run(
        self,
        queue: Outlet<Job>,
        opened: oneshot::Sender<Result<Opened, StoreError>>,
        (here, guests_gone): (Arc<Here>, Gone),
    ) {
        let (conn, guard) = match schema::open_writer(&self.path, &self.options) {
            Ok(opened) => opened,
            Err(error) => return drop(opened.send(Err(error))),
        };
        match self.start(conn, guard) {
            Ok((pen, opening, readers_ended)) => {
                // If the caller of open is gone, so is the queue's other end.
                let _ = opened.send(Ok(opening));
                let pen = self.stand.serve(pen, queue);
                readers_ended.wait();
                drop(here);
                guests_gone.wait();
                if let Some(pen) = pen {
                    pen.close();
                }
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    }

    fn start(&self, conn: Connection, guard: Guard) -> Result<(Pen, Opened, Gone), StoreError> {
        let news = News::of(&self.path, self.heads.clone(), self.listener.clone());
        let pen = Pen::new(conn, guard, &self.options, news)?;
        let reader = |conn| Reader::new(conn).map_err(|error| fault(error, "setting up a reader"));
        let readers = (0..self.options.readers.max(1))
            .map(|_| reader(schema::open_reader(&self.path, &self.options)?))
            .collect::<Result<_, _>>()?;
        let glancing = reader(schema::open_for_glances(&self.path, &self.options)?)?;
        let started = Pool::start(readers);
        let (pool, ended) = started.map_err(|error| no_thread(error, &self.path))?;
        let identity = identity::read(pen.conn())?;
        Ok((pen, (pool, glancing, identity), ended))
    }
}

fn no_thread(error: std::io::Error, path: &Path) -> StoreError {
    let doing = format!("starting a thread for {}", path.display());
    StoreError::new(StoreErrorKind::Io, doing).with_source(error)
}

/// The writer's thread ended without an answer, which only a bug can do.
fn stopped(doing: &str, path: &Path) -> StoreError {
    StoreError::new(StoreErrorKind::Io, format!("{doing} {}", path.display()))
}
