//! States that are kept beside their events spare reads, and change no answer.
//!
//! | file | what it shows |
//! |---|---|
//! | `meter` | an aggregate that keeps its states, and the same one that does not |
//! | `watched` | a store that tells what was kept and read, and holds it up |
//! | `kept` | when a state is kept, that it is used, and by whom |
//! | `equal` | whatever is kept, lost or mangled: a load is what it is without |
//! | `file` | the row in the file: gone with what was removed, checked, never waited for |

mod equal;
#[cfg(feature = "sqlite")]
mod file;
mod kept;
mod meter;
mod watched;

use annalist::Store;

/// Runs a check on a store in memory, and on one in a file.
async fn on_both(check: impl AsyncFn(Store)) {
    check(Store::memory()).await;
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store.db")).await;
        check(store.expect("a store")).await;
    }
}
