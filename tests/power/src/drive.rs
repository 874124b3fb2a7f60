//! Runs a workload on a store, and notes what its callers are told.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use annalist::store::sqlite::SqliteOptions;
use annalist::{
    AppendError, ExpectedVersion, Receipt, Store, StoreError, StoreErrorKind, StreamId,
};
use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};

use crate::ledger::{Note, Removal};
use crate::plan::{Act, Expecting, Plan};
use crate::recording::Recording;

/// The name of a store's file in its folder.
pub(crate) const FILE: &str = "store.db";

/// Runs a workload whose disk never fails.
pub(crate) async fn run(plan: &Plan, folder: &Path, options: &SqliteOptions) -> Arc<Recording> {
    let recording = Recording::start(folder);
    let holder = Holder::new(folder);
    for callers in &plan.phases {
        let store = Store::open_with(folder.join(FILE), options.clone()).await;
        let hand = Hand {
            plan,
            store: store.expect("a sound disk"),
            recording: &recording,
            holder: Some(&holder),
        };
        let hand = &hand;
        let callers = callers.iter().map(|acts| async move {
            for act in acts {
                hand.act(act).await.expect("a sound disk");
            }
        });
        join_all(callers).await;
        hand.store.close().await.expect("a clean close");
    }
    recording
}

/// A reader that begins and does not end.
pub(crate) struct Holder<'a> {
    folder: &'a Path,
    held: RefCell<Option<Connection>>,
}

impl<'a> Holder<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            held: RefCell::new(None),
        }
    }

    fn hold(&self) {
        let path = self.folder.join(FILE);
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let conn = conn.expect("a connection");
        let sql = "BEGIN; SELECT count(*) FROM annalist_meta";
        conn.execute_batch(sql).expect("a read");
        *self.held.borrow_mut() = Some(conn);
    }

    fn release(&self) {
        *self.held.borrow_mut() = None;
    }
}

/// Who does things, and with what.
pub(crate) struct Hand<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) store: Store,
    pub(crate) recording: &'a Recording,
    /// Who reads and does not end; nobody where that is not part of it.
    pub(crate) holder: Option<&'a Holder<'a>>,
}

impl Hand<'_> {
    /// Does one thing. An error is the store's, and none that a decision gave.
    pub(crate) async fn act(&self, act: &Act) -> Result<(), StoreError> {
        match act {
            Act::Commit(commit, expecting) => self.commit(*commit, *expecting).await,
            Act::Together(commits) => {
                let commits = commits.iter();
                let sent = commits.map(|commit| self.commit(*commit, Expecting::Any));
                let errors = join_all(sent).await.into_iter().filter_map(Result::err);
                // Of those that were refused by themselves one may have been the last that
                // could be: that its outcome is not known says more than that others failed.
                let worst = errors.max_by_key(|error| error.kind() == StoreErrorKind::Unknown);
                worst.map_or(Ok(()), Err)
            }
            Act::Delete(_) | Act::Truncate(_) | Act::Close(_) => self.remove(act).await,
            Act::Compact => self.store.compact().await.map(drop),
            Act::ReadAll => self.store.read_all().collect().await.map(drop),
            Act::Hold => {
                self.holder.iter().for_each(|holder| holder.hold());
                Ok(())
            }
            Act::Release => {
                self.holder.iter().for_each(|holder| holder.release());
                Ok(())
            }
        }
    }

    /// Does it again after an error. What a commit saw may be its own events by now, so it
    /// expects nothing more.
    pub(crate) async fn again(&self, act: &Act) -> Result<(), StoreError> {
        match act {
            Act::Commit(commit, _) => self.commit(*commit, Expecting::Any).await,
            act => self.act(act).await,
        }
    }

    async fn commit(&self, commit: u32, expecting: Expecting) -> Result<(), StoreError> {
        let planned = self.plan.planned(commit);
        let mut seen = Vec::new();
        if expecting == Expecting::Seen {
            for (stream, _) in &planned.appends {
                let version = self.store.stream_info(stream).await?.version;
                seen.push((stream, version));
            }
        }
        let expect = |stream: &StreamId| {
            let seen = seen.iter().find(|(known, _)| *known == stream);
            seen.map_or(ExpectedVersion::Any, |(_, version)| (*version).into())
        };
        self.recording.note(Note::Sent(commit));
        let answer = self.store.commit(planned.commit(expect)).await;
        self.told(commit, answer).map(drop)
    }

    /// Sends a commit again whose outcome is not known.
    pub(crate) async fn send_again(&self, commit: u32) -> Result<Option<Receipt>, StoreError> {
        self.recording.note(Note::Sent(commit));
        let again = self.plan.planned(commit).commit(|_| ExpectedVersion::Any);
        let answer = self.store.commit(again).await;
        self.told(commit, answer)
    }

    fn told(
        &self,
        commit: u32,
        answer: Result<Receipt, AppendError>,
    ) -> Result<Option<Receipt>, StoreError> {
        let (note, told) = match answer {
            Ok(receipt) | Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                let note = Note::Landed(commit, receipt.clone());
                (note, Ok(Some(receipt)))
            }
            Err(AppendError::Conflict(_) | AppendError::StreamClosed(_)) => {
                (Note::Refused(commit), Ok(None))
            }
            Err(AppendError::Store(error)) => {
                // Every other error says that nothing was written.
                if error.kind() != StoreErrorKind::Unknown {
                    self.recording.note(Note::Refused(commit));
                }
                return Err(error);
            }
            Err(error) => panic!("commit {commit}: {error}"),
        };
        self.recording.note(note);
        told
    }

    async fn remove(&self, act: &Act) -> Result<(), StoreError> {
        let any = ExpectedVersion::Any;
        let (stream, removed) = match act {
            Act::Delete(stream) => {
                self.recording.note(Note::Removing(stream.clone()));
                let removed = self.store.delete(stream, any).await;
                (stream, removed.map(|removed| Removal::of_delete(&removed)))
            }
            Act::Close(stream) => {
                self.recording.note(Note::Removing(stream.clone()));
                let removed = self.store.close_stream(stream, any).await;
                (stream, removed.map(|removed| Removal::of_close(&removed)))
            }
            Act::Truncate(stream) => {
                let before = self.store.stream_info(stream).await?.version;
                self.recording.note(Note::Removing(stream.clone()));
                let removed = self.store.truncate_before(stream, before).await;
                let of = |removed| Removal::of_truncate(&removed, before);
                (stream, removed.map(of))
            }
            _ => return Ok(()),
        };
        match removed {
            Ok(removal) => {
                self.recording.note(Note::Removed(stream.clone(), removal));
                Ok(())
            }
            // A closed stream is not deleted.
            Err(AppendError::StreamClosed(_)) => Ok(()),
            Err(AppendError::Store(error)) => Err(error),
            Err(error) => panic!("{act:?}: {error}"),
        }
    }
}
