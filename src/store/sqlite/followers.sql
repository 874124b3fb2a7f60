-- What follows the log and keeps what it makes of it in this database, and how far each
-- has come. Invariant: a name has one live build at most; position and event_id say what
-- the tables of the build hold, and are moved in the transaction that changes those;
-- checksum covers every column.
CREATE TABLE IF NOT EXISTS annalist_followers (
    name         TEXT    NOT NULL,
    build        INTEGER NOT NULL,
    version      INTEGER NOT NULL, -- of the code that fills it
    state        TEXT    NOT NULL CHECK (state IN ('building', 'live', 'kept')),
    inline       INTEGER NOT NULL CHECK (inline IN (0, 1)),
    tables       TEXT    NOT NULL, -- JSON, the names that are declared
    store_id     BLOB    NOT NULL CHECK (length(store_id) = 16),
    position     INTEGER NOT NULL,
    event_id     BLOB,             -- nothing where a removal stands
    began_at     INTEGER NOT NULL, -- the last position when the build was begun
    begins_after INTEGER NOT NULL, -- the last position that was never for it
    problem      TEXT,             -- why it has stopped
    checksum     INTEGER NOT NULL,
    PRIMARY KEY (name, build)
) STRICT, WITHOUT ROWID;

-- Who fills them: one runner for each name, over all processes. Invariant: rows are never
-- removed and fence never falls, so that one which was overtaken writes nothing more.
CREATE TABLE IF NOT EXISTS annalist_runners (
    name        TEXT    PRIMARY KEY,
    fence       INTEGER NOT NULL,
    lease_until INTEGER NOT NULL, -- microseconds since 1970
    rebuild     TEXT CHECK (rebuild IN ('drop', 'keep', -- asked for by another process
                                        'dropping', 'keeping')) -- under way
) STRICT, WITHOUT ROWID;

-- The events that a follower could not take in and has put aside, and those of the same
-- streams that wait behind them.
CREATE TABLE IF NOT EXISTS annalist_parked (
    name      TEXT    NOT NULL,
    build     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    stream    TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    error     TEXT,             -- nothing of one that waits
    attempts  INTEGER NOT NULL,
    parked_at INTEGER NOT NULL, -- microseconds since 1970
    PRIMARY KEY (name, build, position)
) STRICT, WITHOUT ROWID;

-- The events that a follower passes over in every build, since somebody said so.
CREATE TABLE IF NOT EXISTS annalist_dropped (
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, position)
) STRICT, WITHOUT ROWID;

-- What process managers know of each process: folded from the events that they have taken
-- in, and written with the checkpoint.
CREATE TABLE IF NOT EXISTS annalist_processes (
    name    TEXT NOT NULL,
    process TEXT NOT NULL,
    state   TEXT NOT NULL, -- JSON
    PRIMARY KEY (name, process)
) STRICT, WITHOUT ROWID;

-- Why commands of reactions took no effect, until the event is taken in upon which they
-- were sent: if it is met again, the answer is the same. That they take none is kept by
-- their aggregates.
CREATE TABLE IF NOT EXISTS annalist_replies (
    name       TEXT    NOT NULL,
    position   INTEGER NOT NULL, -- of the event
    command_id TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    PRIMARY KEY (name, position, command_id)
) STRICT, WITHOUT ROWID;
