-- Leases: who may write, across processes, until when.
CREATE TABLE annalist_leases (
    name       TEXT    PRIMARY KEY,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- microseconds since 1970
    released   INTEGER NOT NULL CHECK (released IN (0, 1)),
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
