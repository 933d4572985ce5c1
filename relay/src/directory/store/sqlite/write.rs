//! Writes to SQLite. A batch is one transaction.

use openred_core::{lifecycle::State, record::SignedRecord};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    super::{AuditRow, ChangeKind, Note, Row, columns, text::words_of_record},
    Liveness, NodeRow, Outcome, Source, StoreError, Write,
};

pub(super) fn apply(connection: &mut Connection, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = writes.iter().map(|write| apply_one(&transaction, write)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

/// Takes the write lock and gives it back.
pub(super) fn touch(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.query_row("SELECT change FROM dropped", [], |_| Ok(()))?;
    Ok(transaction.rollback()?)
}

/// Everything goes, then everything comes.
pub(super) fn import(connection: &mut Connection, source: Source) -> Result<u64, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM nodes; DELETE FROM liveness; DELETE FROM services; DELETE FROM service_clusters; \
         DELETE FROM service_words; DELETE FROM changes; DELETE FROM audit; DELETE FROM notes; \
         UPDATE dropped SET change = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes');",
    )?;
    let mut rows = 0;
    for row in source {
        match row? {
            Row::Node(node) => {
                put_node(&transaction, &node)?;
                let withheld = "UPDATE nodes SET withheld = ? WHERE peer = ?";
                transaction.prepare_cached(withheld)?.execute(params![node.withheld, node.peer.to_bytes()])?;
            }
            Row::Service(record) => {
                put_service(&transaction, &record)?;
            }
            Row::Note(note) => put_note(&transaction, &note)?,
            Row::Audit(line) => put_audit(&transaction, &line)?,
        }
        rows += 1;
    }
    transaction.commit()?;
    Ok(rows)
}

fn apply_one(transaction: &Transaction<'_>, write: &Write) -> Result<Outcome, StoreError> {
    match write {
        Write::Node(node) => {
            let outcome = put_node(transaction, node)?;
            if outcome == Outcome::Applied {
                log(transaction, node.updated, ChangeKind::Registered, &node.peer.to_bytes(), None, None)?;
            }
            Ok(outcome)
        }
        Write::Forget { peer, why, at } => {
            let peer = peer.to_bytes();
            if transaction.prepare_cached("DELETE FROM nodes WHERE peer = ?")?.execute([&peer])? == 0 {
                return Ok(Outcome::Absent);
            }
            transaction.prepare_cached("DELETE FROM liveness WHERE peer = ?")?.execute([&peer])?;
            let services: Vec<i64> = transaction
                .prepare_cached("SELECT id FROM services WHERE provider = ?")?
                .query_map([&peer], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            services.into_iter().try_for_each(|id| remove_service(transaction, id))?;
            log(transaction, *at, *why, &peer, None, None)?;
            Ok(Outcome::Applied)
        }
        Write::Service { record, at } => {
            let outcome = put_service(transaction, record)?;
            if outcome == Outcome::Applied {
                let said = record.record();
                let kind = if said.withdrawn { ChangeKind::Withdrawn } else { ChangeKind::Published };
                log(transaction, *at, kind, &said.provider.to_bytes(), Some(said.name.as_str()), None)?;
            }
            Ok(outcome)
        }
        Write::Liveness(rows, at) => {
            rows.iter().try_for_each(|row| put_liveness(transaction, row, *at))?;
            Ok(Outcome::Applied)
        }
        Write::Withhold { peer, withheld, at } => {
            let peer = peer.to_bytes();
            let text = "UPDATE nodes SET withheld = ? WHERE peer = ?";
            if transaction.prepare_cached(text)?.execute(params![withheld, peer])? == 0 {
                return Ok(Outcome::Absent);
            }
            let kind = if *withheld { ChangeKind::Withheld } else { ChangeKind::Restored };
            log(transaction, *at, kind, &peer, None, None)?;
            Ok(Outcome::Applied)
        }
        Write::Note(note) => put_note(transaction, note).map(|()| Outcome::Applied),
        Write::Unnote { space, key } => {
            let text = "DELETE FROM notes WHERE space = ? AND key = ?";
            let removed = transaction.prepare_cached(text)?.execute(params![space, key])?;
            Ok(if removed == 0 { Outcome::Absent } else { Outcome::Applied })
        }
        Write::Audit(line) => put_audit(transaction, line).map(|()| Outcome::Applied),
        Write::Purge { now, changes, audit } => purge(transaction, *now, *changes, *audit).map(|()| Outcome::Applied),
    }
}

fn put_node(transaction: &Transaction<'_>, node: &NodeRow) -> Result<Outcome, StoreError> {
    let text = "INSERT INTO nodes (peer, public_key, addresses, envelope, sequence, region, metadata, registered, updated, withheld) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0) \
         ON CONFLICT (peer) DO UPDATE SET public_key = ?2, addresses = ?3, envelope = ?4, sequence = ?5, region = ?6, \
         metadata = ?7, updated = ?9 WHERE sequence <= ?5";
    let written = transaction.prepare_cached(text)?.execute(params![
        node.peer.to_bytes(),
        node.public_key,
        columns::addresses_text(&node.addresses),
        node.envelope,
        columns::signed(node.sequence),
        node.region,
        columns::metadata_text(&node.metadata),
        columns::signed(node.registered),
        columns::signed(node.updated),
    ])?;
    if written == 0 {
        return Ok(Outcome::Stale);
    }
    let text = "INSERT OR REPLACE INTO liveness (peer, state, since, deadline, heard) VALUES (?, ?, ?, ?, ?)";
    transaction.prepare_cached(text)?.execute(params![
        node.peer.to_bytes(),
        node.standing.state.as_str(),
        columns::signed(node.standing.since),
        columns::signed(node.standing.deadline),
        columns::signed(node.heard),
    ])?;
    Ok(Outcome::Applied)
}

fn put_liveness(transaction: &Transaction<'_>, row: &Liveness, at: u64) -> Result<(), StoreError> {
    let peer = row.peer.to_bytes();
    let text = "UPDATE liveness SET state = ?2, since = ?3, deadline = ?4, heard = ?5 WHERE peer = ?1 AND heard <= ?5";
    let written = transaction.prepare_cached(text)?.execute(params![
        peer,
        row.standing.state.as_str(),
        columns::signed(row.standing.since),
        columns::signed(row.standing.deadline),
        columns::signed(row.heard),
    ])?;
    if written > 0 && row.moved {
        log(transaction, at, ChangeKind::Moved, &peer, None, Some(row.standing.state))?;
    }
    Ok(())
}

fn put_service(transaction: &Transaction<'_>, record: &SignedRecord) -> Result<Outcome, StoreError> {
    let said = record.record();
    let provider = said.provider.to_bytes();
    let is_node = transaction.prepare_cached("SELECT 1 FROM nodes WHERE peer = ?")?.exists([&provider])?;
    if !is_node {
        return Ok(Outcome::Absent);
    }
    let here: Option<(i64, Vec<u8>)> = transaction
        .prepare_cached("SELECT id, envelope FROM services WHERE name = ? AND provider = ?")?
        .query_row(params![said.name.as_str(), provider], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((id, envelope)) = here {
        let here = columns::record(envelope)?;
        if here == *record {
            return Ok(Outcome::Known);
        }
        if !record.is_newer_than(&here) {
            return Ok(Outcome::Stale);
        }
        remove_service(transaction, id)?;
    }
    let text = "INSERT INTO services (name, provider, kind, region, expires, withdrawn, envelope) \
         VALUES (?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(text)?.execute(params![
        said.name.as_str(),
        provider,
        said.kind,
        said.region,
        columns::signed(said.expires_at()),
        said.withdrawn,
        record.envelope(),
    ])?;
    let id = transaction.last_insert_rowid();
    if !said.withdrawn {
        let words = words_of_record(said).join(" ");
        transaction
            .prepare_cached("INSERT INTO service_words (rowid, words) VALUES (?, ?)")?
            .execute(params![id, words])?;
        for cluster in &said.clusters {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO service_clusters (cluster, service) VALUES (?, ?)")?
                .execute(params![cluster, id])?;
        }
    }
    Ok(Outcome::Applied)
}

fn remove_service(transaction: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM services WHERE id = ?")?.execute([id])?;
    transaction.prepare_cached("DELETE FROM service_clusters WHERE service = ?")?.execute([id])?;
    transaction.prepare_cached("DELETE FROM service_words WHERE rowid = ?")?.execute([id])?;
    Ok(())
}

fn put_note(transaction: &Transaction<'_>, note: &Note) -> Result<(), StoreError> {
    let text = "INSERT OR REPLACE INTO notes (space, key, value, expires) VALUES (?, ?, ?, ?)";
    transaction.prepare_cached(text)?.execute(params![
        note.space,
        note.key,
        note.value,
        columns::signed(note.expires)
    ])?;
    Ok(())
}

fn put_audit(transaction: &Transaction<'_>, line: &AuditRow) -> Result<(), StoreError> {
    let text = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)";
    transaction.prepare_cached(text)?.execute(params![
        columns::signed(line.at),
        line.actor,
        line.action,
        line.subject,
        line.detail
    ])?;
    Ok(())
}

fn log(
    transaction: &Transaction<'_>,
    at: u64,
    kind: ChangeKind,
    peer: &[u8],
    name: Option<&str>,
    state: Option<State>,
) -> Result<(), StoreError> {
    let text = "INSERT INTO changes (at, kind, peer, name, state) VALUES (?, ?, ?, ?, ?)";
    let state = state.map(State::as_str);
    transaction.prepare_cached(text)?.execute(params![columns::signed(at), kind.as_str(), peer, name, state])?;
    Ok(())
}

fn purge(transaction: &Transaction<'_>, now: u64, changes: u64, audit: u64) -> Result<(), StoreError> {
    let now = columns::signed(now);
    let expired: Vec<i64> = transaction
        .prepare_cached("SELECT id FROM services WHERE expires <= ?")?
        .query_map([now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    expired.into_iter().try_for_each(|id| remove_service(transaction, id))?;
    transaction.prepare_cached("DELETE FROM notes WHERE expires <= ?")?.execute([now])?;
    let newest: Option<i64> = transaction.query_row("SELECT max(id) FROM changes", [], |row| row.get(0))?;
    let drop = newest.unwrap_or(0).saturating_sub(columns::signed(changes));
    if transaction.prepare_cached("DELETE FROM changes WHERE id <= ?")?.execute([drop])? > 0 {
        transaction.prepare_cached("UPDATE dropped SET change = ?")?.execute([drop])?;
    }
    let text = "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?";
    transaction.prepare_cached(text)?.execute([columns::signed(audit)])?;
    Ok(())
}
