//! Rows of PostgreSQL as the store's.

use openred_core::lifecycle::Standing;
use tokio_postgres::Row;

use super::{
    super::{AuditRow, Change, KeptNode, KeptService, Liveness, Note, columns},
    NodeRow, StoreError,
};

/// The columns that [`node`] and [`kept_node`] read.
pub(super) const NODE: &str = "n.peer, n.public_key, n.addresses, n.envelope, n.sequence, n.region, n.metadata, \
     n.registered, n.updated, n.withheld, l.state, l.since, l.deadline, l.heard";

pub(super) fn node(row: &Row) -> Result<NodeRow, StoreError> {
    kept_node(row)?.read()
}

pub(super) fn kept_node(row: &Row) -> Result<KeptNode<'_>, StoreError> {
    Ok(KeptNode {
        peer: columns::peer(row.try_get(0)?)?,
        public_key: row.try_get(1)?,
        addresses: row.try_get(2)?,
        envelope: row.try_get(3)?,
        sequence: number(row, 4)?,
        region: row.try_get(5)?,
        metadata: row.try_get(6)?,
        registered: number(row, 7)?,
        updated: number(row, 8)?,
        withheld: row.try_get(9)?,
        standing: Standing {
            state: columns::state(row.try_get(10)?)?,
            since: number(row, 11)?,
            deadline: number(row, 12)?,
        },
        heard: number(row, 13)?,
    })
}

/// Reads `name, provider, expires, withdrawn, envelope`.
pub(super) fn kept_service(row: &Row) -> Result<KeptService<'_>, StoreError> {
    Ok(KeptService {
        name: row.try_get(0)?,
        provider: columns::peer(row.try_get(1)?)?,
        expires: number(row, 2)?,
        withdrawn: row.try_get(3)?,
        envelope: row.try_get(4)?,
    })
}

/// Reads `id, at, kind, peer, name, state, origin`.
pub(super) fn change(row: &Row, origin: i64) -> Result<Change, StoreError> {
    let state: Option<&str> = row.try_get(5)?;
    Ok(Change {
        id: number(row, 0)?,
        at: number(row, 1)?,
        kind: row.try_get::<_, &str>(2)?.parse()?,
        peer: columns::peer(row.try_get(3)?)?,
        name: row.try_get(4)?,
        state: state.map(columns::state).transpose()?,
        is_foreign: row.try_get::<_, i64>(6)? != origin,
    })
}

/// Reads `stamp, peer, state, since, deadline, heard`.
pub(super) fn liveness(row: &Row) -> Result<(u64, Liveness), StoreError> {
    let standing =
        Standing { state: columns::state(row.try_get(2)?)?, since: number(row, 3)?, deadline: number(row, 4)? };
    let peer = columns::peer(row.try_get(1)?)?;
    Ok((number(row, 0)?, Liveness { peer, standing, heard: number(row, 5)?, moved: false }))
}

/// Reads `id, at, actor, action, subject, detail`.
pub(super) fn audit(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: number(row, 0)?,
        at: number(row, 1)?,
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        subject: row.try_get(4)?,
        detail: row.try_get(5)?,
    })
}

/// Reads `space, key, value, expires`.
pub(super) fn note(row: &Row) -> Result<Note, StoreError> {
    Ok(Note { space: row.try_get(0)?, key: row.try_get(1)?, value: row.try_get(2)?, expires: number(row, 3)? })
}

pub(super) fn number(row: &Row, column: usize) -> Result<u64, StoreError> {
    Ok(columns::unsigned(row.try_get(column)?))
}
