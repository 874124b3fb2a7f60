-- From version 2 to 3: states of streams are kept.
CREATE TABLE annalist_snapshots (
    stream      INTEGER PRIMARY KEY,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 16), -- of what folded it
    version     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    last_event  BLOB    NOT NULL CHECK (length(last_event) = 16),
    state       TEXT    NOT NULL, -- JSON
    checksum    INTEGER NOT NULL
) STRICT;
