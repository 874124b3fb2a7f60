//! The file system as SQLite of this process sees it: the one it is built with, and in
//! between a recorder that sees and may refuse every write.
//!
//! It is the process's default, so that a store opened by its public API uses it
//! unchanged. Files in folders that nobody watches pass through. The only module with
//! unsafe code: it speaks C with SQLite, and hands everything on to [`Watched`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_CONFIG_MEMSTATUS, SQLITE_OK, sqlite3_config, sqlite3_file,
    sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::recording::{Recording, Watched};

/// One open file as SQLite holds it. The file of the system's own follows in memory.
#[repr(C)]
struct File {
    base: sqlite3_file,
    watched: Option<Box<Watched>>,
}

/// SQLite's own file system.
struct Real(*mut sqlite3_vfs);

// SAFETY: SQLite's file systems are called from any thread, and never go away.
unsafe impl Send for Real {}
// SAFETY: as above; it is only read.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// Puts the recorder in front of SQLite's file system, once for the process.
pub(crate) fn install() {
    REAL.get_or_init(|| {
        // Counting memory takes a lock of the whole process, again and again.
        // SAFETY: the option takes one number. Where SQLite has begun, it is refused.
        unsafe { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) };
        // SAFETY: asks for the default one, which starts SQLite where it has not begun.
        let real = unsafe { sqlite3_vfs_find(ptr::null()) };
        assert!(!real.is_null(), "SQLite has no file system");
        // SAFETY: it is not null and lives as long as the process. A copy answers the same
        // calls: those methods find what they need in `pAppData`, which is copied too.
        let mut ours = unsafe { *real };
        let header = c_int::try_from(size_of::<File>()).expect("a few bytes");
        ours.szOsFile += header;
        ours.zName = c"annalist-power".as_ptr();
        ours.pNext = ptr::null_mut();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        let ours = Box::into_raw(Box::new(ours));
        // SAFETY: it was just made, is whole, and is never freed.
        let registered = unsafe { sqlite3_vfs_register(ours, 1) };
        assert_eq!(registered, SQLITE_OK, "SQLite takes no file system of ours");
        Real(real)
    });
}

fn real() -> *mut sqlite3_vfs {
    REAL.get().expect("it was installed").0
}

/// The file of the system's own, which lies behind ours.
fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite has given `szOsFile` bytes, which is room for both. The size of ours
    // is a multiple of its alignment, and that of the other is no larger.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the file of the system's own.
macro_rules! forward {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        // SAFETY: SQLite calls with a file that `open` has opened, arguments as they came.
        unsafe {
            let method = (*(*inner).pMethods).$method;
            method.expect("a file of the system's own has it")(inner $(, $argument)*)
        }
    }};
}

fn watched<'a>(file: *mut sqlite3_file) -> Option<&'a Watched> {
    // SAFETY: `open` has written it, and SQLite uses no file after closing it.
    unsafe { (*file.cast::<File>()).watched.as_deref() }
}

/// The path that SQLite names; none for a temporary file.
fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite gives text that ends with a zero and outlives the call.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().ok().map(Path::new)
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: the arguments as they came, and room for a file of its own.
    let answer = unsafe {
        match (*real()).xOpen {
            Some(open) => open(real(), name, inner(file), flags, out_flags),
            None => SQLITE_CANTOPEN,
        }
    };
    let is_open = answer == SQLITE_OK;
    let watched = path_of(name)
        .filter(|_| is_open)
        .and_then(|path| Recording::open(path, flags));
    let header = File {
        base: sqlite3_file {
            // A file without methods is not closed either.
            pMethods: if is_open { &METHODS } else { ptr::null() },
        },
        watched: watched.map(Box::new),
    };
    // SAFETY: there is room for it, see `inner`; what was there has no destructor.
    unsafe { file.cast::<File>().write(header) };
    answer
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let through = || {
        // SAFETY: the arguments as they came.
        unsafe { (*real()).xDelete.expect("a file system deletes")(real(), name, sync) }
    };
    match path_of(name).and_then(|path| Recording::of(path).map(|recording| (recording, path))) {
        Some((recording, path)) => recording.delete(path, sync != 0, through),
        None => through(),
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let answer = forward!(file, xClose);
    // SAFETY: SQLite calls nothing more of this file.
    unsafe { (*file.cast::<File>()).watched = None };
    answer
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    forward!(file, xRead, into, amount, offset)
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let Some(watched) = watched(file) else {
        return forward!(file, xWrite, from, amount, offset);
    };
    let length = usize::try_from(amount).expect("a length");
    // SAFETY: SQLite gives so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
    let at = u64::try_from(offset).expect("an offset");
    watched.write(at, bytes, |bytes| {
        let amount = c_int::try_from(bytes.len()).expect("no more than was given");
        forward!(file, xWrite, bytes.as_ptr().cast(), amount, offset)
    })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    let through = || forward!(file, xTruncate, size);
    match watched(file) {
        Some(watched) => watched.truncate(u64::try_from(size).expect("a size"), through),
        None => through(),
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let through = || forward!(file, xSync, flags);
    match watched(file) {
        Some(watched) => watched.sync(through),
        None => through(),
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    forward!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    forward!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    forward!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, held: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock, held)
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    forward!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    forward!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    forward!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    memory: *mut *mut c_void,
) -> c_int {
    forward!(file, xShmMap, region, size, extend, memory)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    forward!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    forward!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    forward!(file, xShmUnmap, delete)
}

/// Version 2: files are not mapped into memory, so that no write goes past the recorder.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
