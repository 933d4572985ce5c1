//! Rows of SQLite as the store's.

use openred_core::lifecycle::Standing;
use rusqlite::Row;

use super::{
    super::{AuditRow, Change, Note, columns},
    NodeRow, StoreError,
};

/// The columns that [`node`] reads.
pub(super) const NODE: &str = "n.peer, n.public_key, n.addresses, n.envelope, n.sequence, n.region, n.metadata, \
     n.registered, n.updated, n.withheld, l.state, l.since, l.deadline, l.heard";

pub(super) fn node(row: &Row<'_>) -> Result<NodeRow, StoreError> {
    let number = |column| Ok::<_, StoreError>(columns::unsigned(row.get(column)?));
    Ok(NodeRow {
        peer: columns::peer(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
        public_key: row.get(1)?,
        addresses: columns::addresses(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
        envelope: row.get(3)?,
        sequence: number(4)?,
        region: row.get(5)?,
        metadata: columns::metadata(row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?)?,
        registered: number(7)?,
        updated: number(8)?,
        withheld: row.get(9)?,
        standing: Standing {
            state: columns::state(row.get_ref(10)?.as_str().map_err(rusqlite::Error::from)?)?,
            since: number(11)?,
            deadline: number(12)?,
        },
        heard: number(13)?,
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
