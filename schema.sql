-- The tables of an Annalist store in a SQLite file. This is the DDL that runs.
--
-- To look into a store:   sqlite3 FILE 'select * from annalist_log'
-- Reading is safe at any time. Writing past the library is not: every row is
-- under a checksum, positions and versions have no holes, and a change shows as
-- damage.

-- Whose file it is. Invariant: one row, never changed by appends; epoch counts the
-- openings, each of which commits before it answers.
CREATE TABLE annalist_meta (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    schema_version INTEGER NOT NULL,
    store_id       BLOB    NOT NULL CHECK (length(store_id) = 16),
    epoch          INTEGER NOT NULL
) STRICT;

-- How far the store has come. Invariant: one row; last_position is the largest
-- position in annalist_events and annalist_markers, last_recorded_at its time, both
-- moved in the transaction that writes there; removals counts the changes to
-- annalist_removals; last_stream is the largest number of a stream that has events,
-- last_version its version; checksum covers every column. Positions come from here and
-- not from SQLite, which hands out random numbers after the largest one.
CREATE TABLE annalist_head (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    last_position    INTEGER NOT NULL,
    last_recorded_at INTEGER NOT NULL, -- microseconds since 1970
    removals         INTEGER NOT NULL,
    last_stream      INTEGER NOT NULL,
    last_version     INTEGER NOT NULL,
    checksum         INTEGER NOT NULL
) STRICT;

-- The event types, small numbers for what every event repeats. Invariant: rows are never changed or removed.
CREATE TABLE annalist_types (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The streams. Invariant: rows are never removed and a name is never changed; hash is
-- the CRC-32 of the name; has_events and has_removals say whether annalist_events and
-- annalist_removals hold rows of it, so that one that does not show is damage. The
-- version is not kept here but is the largest in annalist_events, so that an append
-- writes no row per stream.
CREATE TABLE annalist_streams (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    hash         INTEGER NOT NULL,
    has_events   INTEGER NOT NULL CHECK (has_events IN (0, 1)),
    has_removals INTEGER NOT NULL CHECK (has_removals IN (0, 1))
) STRICT;

-- Asked where the index of names finds none: that a stream is not there is believed
-- when both say so.
CREATE INDEX annalist_streams_by_hash ON annalist_streams (hash);

-- The events. Invariant: positions, together with those of annalist_markers, are
-- dense from 1 and follow commit order; versions are dense from 1 within a stream;
-- recorded_at never decreases with position; the events of one commit stand next to
-- each other; checksum covers every column, stream and type as text. Rows are never
-- removed; of a removed event, compaction strips payload and metadata.
CREATE TABLE annalist_events (
    position       INTEGER PRIMARY KEY,
    stream         INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    type           INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL, -- microseconds since 1970
    event_id       BLOB    NOT NULL,
    checksum       INTEGER NOT NULL, -- CRC-32, see row.rs
    payload        TEXT,             -- JSON, to the byte as it was sent
    metadata       TEXT              -- JSON, or nothing where nothing is set
) STRICT;

-- Finds a stream's events, and is the last guard of its version numbers.
CREATE UNIQUE INDEX annalist_events_by_stream ON annalist_events (stream, version);

-- Finds an event that is sent again. The id comes first: ids of version 7 sort by
-- time, so that new ones land on the index's last page.
CREATE UNIQUE INDEX annalist_events_by_id ON annalist_events (event_id, stream);

-- The commit keys that took effect. Invariant: rows are never changed; a key is
-- unique in its stream. What its commit wrote is said by the version columns where
-- it wrote to that stream alone, and by receipt where it did not; checksum covers
-- every column, stream as text.
CREATE TABLE annalist_keys (
    stream         INTEGER NOT NULL,
    key            TEXT    NOT NULL,
    fingerprint    BLOB    NOT NULL,
    first_version  INTEGER,          -- nothing where it had no events
    last_version   INTEGER,
    last_position  INTEGER,
    receipt        TEXT,             -- JSON
    checksum       INTEGER NOT NULL,
    PRIMARY KEY (stream, key)
) STRICT, WITHOUT ROWID;

-- The streams from which events were removed, or that are closed. Invariant: the
-- events up to removed_to are not read, those up to compacted_to are stripped;
-- generation counts the removals; checksum covers every column, stream as text.
CREATE TABLE annalist_removals (
    stream       INTEGER PRIMARY KEY,
    generation   INTEGER NOT NULL,
    removed_to   INTEGER NOT NULL,
    compacted_to INTEGER NOT NULL,
    closed       INTEGER NOT NULL CHECK (closed IN (0, 1)),
    checksum     INTEGER NOT NULL
) STRICT;

-- Finds what compaction has still to strip.
CREATE INDEX annalist_removals_to_compact ON annalist_removals (stream)
WHERE compacted_to < removed_to;

-- When events were removed, at positions of their own, for who follows the log.
-- Invariant: rows are never changed; deleted says that the stream held nothing more
-- then; checksum covers every column, stream as text.
CREATE TABLE annalist_markers (
    position    INTEGER PRIMARY KEY,
    stream      INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    removed_to  INTEGER NOT NULL,
    deleted     INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    recorded_at INTEGER NOT NULL, -- microseconds since 1970
    checksum    INTEGER NOT NULL
) STRICT;
CREATE INDEX annalist_markers_by_stream ON annalist_markers (stream);

-- The states of streams that are kept, so that their events need not be read again: a
-- cache. Invariant: a state is that of its stream at the version, or the row is ignored;
-- removing events removes it; checksum covers every column, stream as text.
CREATE TABLE annalist_snapshots (
    stream      INTEGER PRIMARY KEY,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 16), -- of what folded it
    version     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    last_event  BLOB    NOT NULL CHECK (length(last_event) = 16),
    state       TEXT    NOT NULL, -- JSON
    checksum    INTEGER NOT NULL
) STRICT;

-- The leases that were ever granted. Invariant: rows are never removed and a token never
-- falls, so that a holder which was overtaken is known for ever; checksum covers every
-- column.
CREATE TABLE annalist_leases (
    name       TEXT    PRIMARY KEY,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- microseconds since 1970
    released   INTEGER NOT NULL CHECK (released IN (0, 1)),
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is kept from everybody who cannot read the file. Invariant: made with the store and
-- never changed; checksum covers every column and the store's id.
CREATE TABLE annalist_secrets (
    name     TEXT    PRIMARY KEY,
    secret   BLOB    NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What follows the log and keeps what it makes of it in this database, and how far each
-- has come. Invariant: a name has one live build at most; position and event_id say what
-- the tables of the build hold, and are moved in the transaction that changes those;
-- checksum covers every column.
CREATE TABLE annalist_followers (
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
CREATE TABLE annalist_runners (
    name        TEXT    PRIMARY KEY,
    fence       INTEGER NOT NULL,
    lease_until INTEGER NOT NULL, -- microseconds since 1970
    rebuild     TEXT CHECK (rebuild IN ('drop', 'keep', -- asked for by another process
                                        'dropping', 'keeping')) -- under way
) STRICT, WITHOUT ROWID;

-- The events that a follower could not take in and has put aside, and those of the same
-- streams that wait behind them.
CREATE TABLE annalist_parked (
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
CREATE TABLE annalist_dropped (
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, position)
) STRICT, WITHOUT ROWID;

-- What process managers know of each process: folded from the events that they have taken
-- in, and written with the checkpoint.
CREATE TABLE annalist_processes (
    name    TEXT NOT NULL,
    process TEXT NOT NULL,
    state   TEXT NOT NULL, -- JSON
    PRIMARY KEY (name, process)
) STRICT, WITHOUT ROWID;

-- Why commands of reactions took no effect, until the event is taken in upon which they
-- were sent: if it is met again, the answer is the same. That they take none is kept by
-- their aggregates.
CREATE TABLE annalist_replies (
    name       TEXT    NOT NULL,
    position   INTEGER NOT NULL, -- of the event
    command_id TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    PRIMARY KEY (name, position, command_id)
) STRICT, WITHOUT ROWID;

-- The log as a person reads it: without what was removed.
CREATE VIEW annalist_log AS
SELECT
    e.position,
    s.name AS stream,
    e.version,
    t.name AS type,
    e.payload,
    e.metadata,
    strftime('%Y-%m-%dT%H:%M:%S', e.recorded_at / 1000000, 'unixepoch')
        || printf('.%06dZ', e.recorded_at % 1000000) AS recorded_at,
    lower(
        substr(hex(e.event_id), 1, 8) || '-' || substr(hex(e.event_id), 9, 4) || '-'
        || substr(hex(e.event_id), 13, 4) || '-' || substr(hex(e.event_id), 17, 4) || '-'
        || substr(hex(e.event_id), 21)
    ) AS event_id,
    e.schema_version
FROM annalist_events AS e
JOIN annalist_streams AS s ON s.id = e.stream
JOIN annalist_types AS t ON t.id = e.type
LEFT JOIN annalist_removals AS r ON r.stream = e.stream
WHERE e.version > ifnull(r.removed_to, 0);
