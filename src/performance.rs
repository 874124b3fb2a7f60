//! What to expect of the store's speed, how to measure it, and what to tune.
//!
//! # What to expect
//!
//! Ratios travel between machines, figures per second do not. These are medians of interleaved
//! rounds on two shared cores and a virtual disk that flushes some thousand times a second,
//! SQLite 3.54, events of 200 bytes, every answer given after its flush; `naive` is what one
//! writes first: a mutex around a connection, one transaction for each append. Each row is a
//! measure of `cargo bench --bench targets`, under its name there.
//!
//! | what | against | ratio | measure |
//! |---|---|---|---|
//! | appends/s by 4, 16, 64, 256 and 1,024 callers | naive | 2.7, 9.3, 21, 34, 30-38 | `append_*` |
//! | 99th percentile of an append by 256 callers | naive | 1/12 to 1/20 | `append_256_p99` |
//! | one caller, median | a bare commit of one row | 1.2 times as long | `append_1_p50` |
//! | the same, on the caller's own thread | the same | 1.1 times as long | `append_1_p50_on_caller` |
//! | a load of 10 events | a bare select and `serde_json` | up to 60 µs more | `load_10` |
//! | of 100; of 1,000 | the same | 0.4 to 0.8; 0.6 to 0.7 of the rate | `load_100`, `load_1000` |
//! | a load that begins with a kept state, after 1,000; 10,000 events | a load of all | 7 to 32; 62 times the rate | `snapshot_*` |
//! | a command that finds nothing to do, its aggregate kept by the bus | a load of 100 events | 8 to 10 times the rate | `cached` |
//! | loads/s of 1,000 events by 32 callers | one bare thread, on two cores | 1.3 | `load_32_callers` |
//! | events/s of `read_all`, decoded | a bare select and `serde_json` | 0.5 to 0.67 | `read_all` |
//! | memory while 1,000,000 events are read | | 20 MB | `read_all_memory` |
//! | opening a closed file of 1,000,000 events | | 2 to 6 ms | `open` |
//! | commands/s of 64 callers on one aggregate, `Queued` | appends/s on 64 streams | 0.8 | `queued` |
//! | the same, `Adaptive` | `Queued` | 0.9 to 1.0 | `adaptive` |
//! | the same, `Optimistic` | `Queued` | 0.02, 1.4 attempts each | `optimistic` |
//! | an event heard in the process; in another one | its acknowledgement | 1.1 to 1.2; 1.05 to 1.3 times as long | `told_*` |
//! | 1,000,000 events, streams side by side | rows without indexes of streams and ids | 0.3 to 0.5 | `million_near` |
//! | the same, uniform over 100,000 streams | the same | 0.16, with random ids 0.08 | `million_uniform*` |
//!
//! Two figures are those of a quiet machine and of a busy one. What crosses to another thread is
//! faster on the busy one, whose cores do not fall asleep: a load of a few events takes as long
//! as to wake a thread.
//!
//! # How to measure
//!
//! ```text
//! cargo bench --bench targets                       # every measure with its target; 8 minutes
//! cargo bench --bench targets -- append load --json # some, a line of JSON for each
//! cargo bench --bench targets -- --quick            # each once: whether it runs, not how fast
//! cargo bench --bench instructions                  # instructions, which no busy machine blurs
//! cargo bench --bench dispatch                      # a command against a bare append
//! cargo bench --bench feed                          # subscriptions
//! cargo bench --bench projection                    # read models
//! cargo bench --features axum --bench http          # requests
//! ```
//!
//! In a program of your own, the feature `metrics` reports what matters where it happens:
//! conflicts and attempts by command, the size of batches, the time of a COMMIT, the depth of
//! queues; `annalist::metrics` has the table, and what to look for in each. Measure on the disk
//! that will be used, with [`Durability::Full`]: a disk that acknowledges a flush within
//! microseconds has not flushed.
//!
//! # What to tune
//!
//! In the order of what it usually gains:
//!
//! 1. **Let callers come together.** Appends that wait for the same flush share it: 64 callers
//!    at once are some twenty times as fast as one after the other. One caller alone writes as
//!    often as the disk flushes, and no option changes that. Where one task has much to write,
//!    let it write many events in one [`Commit`], or many commits at once. Where it cannot, and
//!    nobody else is on its thread, [`CommitThread::CallerIfIdle`] saves it the way to the
//!    thread that writes and back, 70 µs here.
//! 2. **Declare what conflicts mean**, see [`command`](crate::command): an aggregate that
//!    everybody wants is fifty times as fast under [`Contention::Queued`]; where it is not
//!    known which one that will be, [`Contention::Adaptive`] finds out. Better still, find the
//!    boundary that not everybody wants: 64 aggregates need no line.
//! 3. **Keep one [`CommandBus`]** and clone it. Its cache
//!    ([`BusOptions::aggregates_cached_max`]) saves the load before each command, and checks
//!    what it keeps by the append itself.
//! 4. **Snapshots** for aggregates of more than some hundred events,
//!    [`Aggregate::SNAPSHOTS`]: below, a load is as fast without. Short streams are better
//!    still: end one with a summary event and begin another, or
//!    [truncate](crate::Store::truncate_before).
//! 5. **Ids of version 7**, which is what [`EventId::new`] makes. Random ids (versions 4 and 5)
//!    land anywhere in the index of ids: half the rate where a file is large.
//! 6. **Build SQLite without its shared page cache.** The `bundled` feature of `rusqlite`
//!    compiles SQLite with `SQLITE_ENABLE_MEMORY_MANAGEMENT`, under which all connections of a
//!    process share one lock for their caches, and readers on several threads stand in each
//!    other's way. Build with `LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT` in the
//!    environment, and measure (`load_32_callers`): it is for programs that read much on
//!    several cores.
//! 7. **The page cache**: [`writer_cache_bytes`] and [`reader_cache_bytes`], once the indexes
//!    of what is written at a time do not fit; [`checkpoint_pages`] larger where bursts are
//!    long, at the cost of a longer log to recover after a crash.
//! 8. **[`Durability::Normal`]** only where the last commits may be lost with the power.
//!
//! What costs, and is off by default: [hooks](crate::store::CommitHook) and inline projections,
//! which run in every commit (0.83 to 0.89 of the appends of 64 callers with one), against
//! those that follow, 0.89 to 0.91 in the same file and nothing in another one.
//!
//! # Where it is slower than it could be
//!
//! Appends to a hundred thousand streams in no order (`million_uniform`) reach a sixth of the
//! rate without indexes: each dirties a page of the index of streams, which is written to the
//! log and once more to the file. Two designs were built apart to find out what it would take.
//! An index in levels, of plain tables that are merged in sorted batches, comes to 0.47-0.57; a
//! tail of packed runs before such levels to 0.60-0.65. Both were left: SQLite would no longer
//! hold that a version is there once, a merge would keep appends waiting for 100 to 270 ms, and
//! the proof that a read tells damage rests on one ordered index. Streams that are written
//! side by side, as most are, pay little of it.
//!
//! A file holds about 310 bytes for an event of 200 (`file_bytes`): 257 of its row, 33 of the
//! index of ids, 15 of that of streams, 7 of the stream itself, ten events to each.
//!
//! [`Durability::Full`]: crate::store::sqlite::Durability::Full
//! [`Durability::Normal`]: crate::store::sqlite::Durability::Normal
//! [`CommitThread::CallerIfIdle`]: crate::store::sqlite::CommitThread::CallerIfIdle
//! [`Commit`]: crate::Commit
//! [`CommandBus`]: crate::CommandBus
//! [`Contention::Queued`]: crate::Contention::Queued
//! [`Contention::Adaptive`]: crate::Contention::Adaptive
//! [`BusOptions::aggregates_cached_max`]: crate::BusOptions::aggregates_cached_max
//! [`Aggregate::SNAPSHOTS`]: crate::Aggregate::SNAPSHOTS
//! [`EventId::new`]: crate::EventId::new
//! [`writer_cache_bytes`]: crate::store::sqlite::SqliteOptions::writer_cache_bytes
//! [`reader_cache_bytes`]: crate::store::sqlite::SqliteOptions::reader_cache_bytes
//! [`checkpoint_pages`]: crate::store::sqlite::SqliteOptions::checkpoint_pages
