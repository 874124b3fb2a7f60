-- Leases: who may write, across processes, until when.
CREATE TABLE annalist_leases (
    name       TEXT    PRIMARY KEY,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- microseconds since 1970
    released   INTEGER NOT NULL CHECK (released IN (0, 1)),
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is kept from everybody who cannot read the file.
CREATE TABLE annalist_secrets (
    name     TEXT    PRIMARY KEY,
    secret   BLOB    NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
