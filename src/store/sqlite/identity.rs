//! What tells this store from every other: its id, and the key of its version tokens.

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::fault::{corrupt, fault};
use crate::store::backend::StoreIdentity;
use crate::store::error::StoreError;
use crate::token::{TokenKey, draw_key};

const TOKEN_KEY: &str = "token_key";

/// Makes the secrets of a file that has none, in the transaction that makes their table.
/// One that is lost later is damage, and not made again: every token would be void.
pub(super) fn make_secrets(conn: &Connection) -> rusqlite::Result<()> {
    let (id, secret) = (store_id(conn)?, draw_key());
    let sql = "INSERT INTO annalist_secrets (name, secret, checksum) VALUES (?1, ?2, ?3)";
    let row = (TOKEN_KEY, secret, checksum(id, &secret));
    conn.execute(sql, row).map(drop)
}

pub(super) fn store_id(conn: &Connection) -> rusqlite::Result<Uuid> {
    let sql = "SELECT store_id FROM annalist_meta";
    conn.query_row(sql, [], |row| row.get(0))
        .map(Uuid::from_bytes)
}

/// Reads the store's identity.
pub(super) fn read(conn: &Connection) -> Result<StoreIdentity, StoreError> {
    let sql = |error| fault(error, "reading the store's identity");
    let id = store_id(conn).map_err(sql)?;
    let secret = "SELECT secret, checksum FROM annalist_secrets WHERE name = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, u32>(1)?));
    let secret = conn
        .query_row(secret, [TOKEN_KEY], read)
        .optional()
        .map_err(sql)?;
    match secret {
        Some((secret, sum)) if checksum(id, &secret) == sum => Ok(StoreIdentity {
            id,
            token_key: TokenKey::from_bytes(secret),
        }),
        _ => Err(corrupt(
            None,
            "checking the store's id and the key of its version tokens",
        )),
    }
}

fn checksum(id: Uuid, secret: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(TOKEN_KEY.as_bytes());
    crc.update(id.as_bytes());
    crc.update(secret);
    crc.finalize()
}
