//! What happens in one folder, in one order: every write, truncation, flush and deletion
//! that SQLite does there, and between them what callers were told. Where it is asked to,
//! it lets writes or flushes fail.
//!
//! Called by [`vfs`](crate::vfs) for the files, and by a workload for its notes. The lock
//! is held while a call goes through to the disk, so that the order is the true one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use rusqlite::ffi::{
    SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_SUPER_JOURNAL,
    SQLITE_OPEN_WAL,
};
use tempfile::TempDir;

use crate::disk::Image;
use crate::fault::{Fault, Faults, Target};
use crate::ledger::Note;

/// A file as the disk knows it. A name that was deleted and made again is another one.
pub(crate) type FileId = usize;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create {
        file: FileId,
        name: String,
    },
    Write {
        file: FileId,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Truncate {
        file: FileId,
        size: u64,
    },
    Sync {
        file: FileId,
    },
    /// The disk could not flush it: what was to be flushed may be gone for good, while
    /// reading still shows it.
    SyncFailed {
        file: FileId,
    },
    Delete {
        name: String,
    },
    /// The names of the folder's files are flushed.
    SyncFolder,
    Note(Note),
}

/// What happened in one folder since it is watched.
pub(crate) struct Recording {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Vec<Op>,
    files: FileId,
    /// The files that the folder shows now.
    shown: BTreeMap<String, FileId>,
    /// The logs that bear our mark, see [`Watched::mark`].
    marked: BTreeSet<FileId>,
    faults: Faults,
}

/// The folders that are watched in this process.
static WATCHED: Mutex<Vec<Weak<Recording>>> = Mutex::new(Vec::new());

impl Recording {
    /// Watches a folder that is empty, until the recording is dropped.
    pub(crate) fn start(folder: &Path) -> Arc<Self> {
        Self::watch(folder, State::default())
    }

    /// What a process finds that comes after this one was killed: the files as they are
    /// read, copied to a folder of their own, and on the disk what is there of them now.
    pub(crate) fn killed(&self) -> (TempDir, Arc<Self>) {
        let other = crate::folder();
        let state = self.state();
        for entry in fs::read_dir(&self.folder).expect("the folder") {
            let entry = entry.expect("an entry");
            // What processes share in memory goes with the last of them.
            if !entry.path().to_string_lossy().ends_with("-shm") {
                let to = other.path().join(entry.file_name());
                fs::copy(entry.path(), to).expect("room for a copy");
            }
        }
        let state = State {
            log: state.log.clone(),
            files: state.files,
            shown: state.shown.clone(),
            marked: BTreeSet::new(),
            faults: Faults::default(),
        };
        let recording = Self::watch(other.path(), state);
        (other, recording)
    }

    /// Watches a folder in which an image lies, all of it surely on the disk.
    pub(crate) fn start_on(folder: &Path, image: &Image) -> Arc<Self> {
        let names = image.files.keys().cloned().zip(0..);
        let state = State {
            files: image.files.len(),
            shown: names.collect(),
            ..State::default()
        };
        Self::watch(folder, state)
    }

    fn watch(folder: &Path, state: State) -> Arc<Self> {
        crate::vfs::install();
        let recording = Arc::new(Self {
            folder: folder.to_owned(),
            state: Mutex::new(state),
        });
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|recording| recording.strong_count() > 0);
        watched.push(Arc::downgrade(&recording));
        recording
    }

    /// The recording of the folder that a file lies in.
    pub(crate) fn of(path: &Path) -> Option<Arc<Self>> {
        let folder = path.parent()?;
        let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recordings = watched.iter().filter_map(Weak::upgrade);
        recordings.find(|recording| recording.folder == folder)
    }

    /// Notes that a file was opened, where somebody watches its folder.
    pub(crate) fn open(path: &Path, flags: i32) -> Option<Watched> {
        let recording = Self::of(path)?;
        let name = path.file_name()?.to_str()?.to_owned();
        let mut state = recording.state();
        let file = match state.shown.get(&name) {
            Some(file) => *file,
            None => state.create(name),
        };
        let is_log = flags & SQLITE_OPEN_WAL != 0;
        let path = is_log.then(|| path.to_owned());
        // SQLite flushes the folder after the first flush of a log that it may have made.
        let logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
        let may_be_new = flags & SQLITE_OPEN_CREATE != 0 && flags & logs != 0;
        let watched = Watched {
            recording: Arc::clone(&recording),
            file,
            log: path,
            folder_unsynced: Mutex::new(may_be_new),
        };
        if !state.marked.contains(&file) {
            watched.mark(&mut state);
        }
        drop(state);
        Some(watched)
    }

    /// Deletes a file, and flushes the folder where SQLite asks for it.
    pub(crate) fn delete(&self, path: &Path, sync: bool, through: impl FnOnce() -> i32) -> i32 {
        let mut state = self.state();
        let answer = through();
        if answer == SQLITE_OK
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            state.shown.remove(name);
            let name = name.to_owned();
            state.log.push(Op::Delete { name });
            if sync {
                state.log.push(Op::SyncFolder);
            }
        }
        answer
    }

    /// Puts a note where it belongs in the order of what happens.
    pub(crate) fn note(&self, note: Note) {
        self.state().log.push(Op::Note(note));
    }

    /// What happened so far.
    pub(crate) fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    /// Lets something fail from now on.
    pub(crate) fn arm(&self, fault: Fault) {
        self.state().faults.arm(fault);
    }

    /// Lets nothing fail any more.
    pub(crate) fn heal(&self) {
        self.state().faults.heal();
    }

    /// What was asked of the disk, and what it refused.
    pub(crate) fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn create(&mut self, name: String) -> FileId {
        let file = self.files;
        self.files += 1;
        self.shown.insert(name.clone(), file);
        self.log.push(Op::Create { file, name });
        file
    }
}

/// An open file in a folder that is watched.
pub(crate) struct Watched {
    recording: Arc<Recording>,
    file: FileId,
    /// The path of a write-ahead log.
    log: Option<PathBuf>,
    folder_unsynced: Mutex<bool>,
}

impl Watched {
    /// Marks a write-ahead log by a time of change that nobody else gives it. Once it has
    /// another, somebody wrote to it past SQLite.
    ///
    /// SQLite has no lock on that file that closing it here could drop.
    fn mark(&self, state: &mut State) {
        if let Some(path) = &self.log {
            let log = OpenOptions::new().write(true).open(path);
            let marked = log.and_then(|log| log.set_modified(SystemTime::UNIX_EPOCH));
            marked.expect("the log takes a mark");
            state.marked.insert(self.file);
        }
    }

    /// Records what was written past SQLite since the mark was made: the whole file, since
    /// who writes past SQLite can only write what is there already.
    fn notice_others(&self, state: &mut State) {
        let Some(path) = &self.log else {
            return;
        };
        let changed = fs::metadata(path).and_then(|log| log.modified());
        if changed.expect("the log's time") == SystemTime::UNIX_EPOCH {
            return;
        }
        let bytes = fs::read(path).expect("the log").into();
        let (file, offset) = (self.file, 0);
        state.log.push(Op::Write {
            file,
            offset,
            bytes,
        });
        self.mark(state);
    }

    /// Writes, or refuses to.
    pub(crate) fn write(
        &self,
        offset: u64,
        bytes: &[u8],
        through: impl FnOnce(&[u8]) -> i32,
    ) -> i32 {
        let mut state = self.recording.state();
        self.notice_others(&mut state);
        let (written, refused) = match state.faults.meet(Target::Write) {
            None => (bytes, None),
            Some(fault) => (fault.written(offset, bytes), Some(fault.answer())),
        };
        let answer = match written {
            [] => SQLITE_OK,
            bytes => through(bytes),
        };
        if answer == SQLITE_OK && !written.is_empty() {
            state.log.push(Op::Write {
                file: self.file,
                offset,
                bytes: written.into(),
            });
        }
        if !written.is_empty() {
            self.mark(&mut state);
        }
        refused.unwrap_or(answer)
    }

    pub(crate) fn truncate(&self, size: u64, through: impl FnOnce() -> i32) -> i32 {
        let mut state = self.recording.state();
        self.notice_others(&mut state);
        let answer = through();
        if answer == SQLITE_OK {
            let file = self.file;
            state.log.push(Op::Truncate { file, size });
        }
        self.mark(&mut state);
        answer
    }

    pub(crate) fn sync(&self, through: impl FnOnce() -> i32) -> i32 {
        let file = self.file;
        let mut state = self.recording.state();
        self.notice_others(&mut state);
        if let Some(fault) = state.faults.meet(Target::Sync) {
            state.log.push(Op::SyncFailed { file });
            return fault.answer();
        }
        let answer = through();
        if answer == SQLITE_OK {
            state.log.push(Op::Sync { file });
            let mut unsynced = self
                .folder_unsynced
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut *unsynced) {
                state.log.push(Op::SyncFolder);
            }
        }
        answer
    }
}
