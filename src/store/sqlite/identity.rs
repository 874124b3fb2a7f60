//! What tells this store from every other: its id, and the key of its version tokens.

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::fault::{corrupt, fault};
use crate::store::backend::StoreIdentity;
use crate::store::error::StoreError;
use crate::token::{TokenKey, draw_key};

const TOKEN_KEY: &str = "token_key";

/// Makes the secrets that a file does not have yet. Called while it is opened, in a
/// transaction of its own.
pub(super) fn make_secrets(conn: &Connection) -> Result<(), StoreError> {
    let secret = draw_key();
    let sql = "INSERT OR IGNORE INTO annalist_secrets (name, secret, checksum) VALUES (?1, ?2, ?3)";
    let row = (TOKEN_KEY, secret, checksum(&secret));
    let made = conn.execute(sql, row);
    made.map(drop)
        .map_err(|error| fault(error, "making a secret"))
}

/// Reads the store's identity.
pub(super) fn read(conn: &Connection) -> Result<StoreIdentity, StoreError> {
    let sql = |error| fault(error, "reading the store's identity");
    let id = "SELECT store_id FROM annalist_meta";
    let id: [u8; 16] = conn.query_row(id, [], |row| row.get(0)).map_err(sql)?;
    let secret = "SELECT secret, checksum FROM annalist_secrets WHERE name = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, u32>(1)?));
    let secret = conn
        .query_row(secret, [TOKEN_KEY], read)
        .optional()
        .map_err(sql)?;
    match secret {
        Some((secret, sum)) if checksum(&secret) == sum => Ok(StoreIdentity {
            id: Uuid::from_bytes(id),
            token_key: TokenKey::from_bytes(secret),
        }),
        _ => Err(corrupt(
            None,
            "checking the key of the store's version tokens",
        )),
    }
}

fn checksum(secret: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(TOKEN_KEY.as_bytes());
    crc.update(secret);
    crc.finalize()
}
