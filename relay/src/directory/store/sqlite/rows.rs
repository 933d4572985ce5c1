//! Rows of SQLite as the store's.

use openred_core::lifecycle::Standing;
use rusqlite::Row;

use super::{
    super::{AuditRow, Change, KeptNode, KeptService, Note, columns},
    NodeRow, StoreError,
};

/// The columns that [`node`] and [`kept_node`] read.
pub(super) const NODE: &str = "n.peer, n.public_key, n.addresses, n.envelope, n.sequence, n.region, n.metadata, \
     n.registered, n.updated, n.withheld, l.state, l.since, l.deadline, l.heard";

pub(super) fn node(row: &Row<'_>) -> Result<NodeRow, StoreError> {
    kept_node(row)?.read()
}

pub(super) fn kept_node<'a>(row: &'a Row<'_>) -> Result<KeptNode<'a>, StoreError> {
    Ok(KeptNode {
        peer: columns::peer(bytes(row, 0)?)?,
        public_key: bytes(row, 1)?,
        addresses: text(row, 2)?,
        envelope: row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?,
        sequence: number(row, 4)?,
        region: text(row, 5)?,
        metadata: text(row, 6)?,
        registered: number(row, 7)?,
        updated: number(row, 8)?,
        withheld: row.get(9)?,
        standing: Standing {
            state: columns::state(text(row, 10)?)?,
            since: number(row, 11)?,
            deadline: number(row, 12)?,
        },
        heard: number(row, 13)?,
    })
}

/// Reads `name, provider, expires, withdrawn, envelope`.
pub(super) fn kept_service<'a>(row: &'a Row<'_>) -> Result<KeptService<'a>, StoreError> {
    Ok(KeptService {
        name: text(row, 0)?,
        provider: columns::peer(bytes(row, 1)?)?,
        expires: number(row, 2)?,
        withdrawn: row.get(3)?,
        envelope: bytes(row, 4)?,
    })
}

/// Reads `id, at, kind, peer, name, state`.
pub(super) fn change(row: &Row<'_>) -> Result<Change, StoreError> {
    let state: Option<String> = row.get(5)?;
    Ok(Change {
        id: columns::unsigned(row.get(0)?),
        at: columns::unsigned(row.get(1)?),
        kind: row.get::<_, String>(2)?.parse()?,
        peer: columns::peer(&row.get::<_, Vec<u8>>(3)?)?,
        name: row.get(4)?,
        state: state.as_deref().map(columns::state).transpose()?,
        is_foreign: false,
    })
}

/// Reads `id, at, actor, action, subject, detail`.
pub(super) fn audit(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: columns::unsigned(row.get(0)?),
        at: columns::unsigned(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
    })
}

/// Reads `space, key, value, expires`.
pub(super) fn note(row: &Row<'_>) -> Result<Note, StoreError> {
    Ok(Note { space: row.get(0)?, key: row.get(1)?, value: row.get(2)?, expires: columns::unsigned(row.get(3)?) })
}

fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], rusqlite::Error> {
    Ok(row.get_ref(column)?.as_blob()?)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, rusqlite::Error> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get(column).map(columns::unsigned)
}
