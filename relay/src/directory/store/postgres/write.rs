//! Writes to PostgreSQL. A batch is one transaction; each write is one statement, and they are sent without waiting for each
//! other's answers.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use deadpool_postgres::{Client, GenericClient, Transaction};
use futures::future::try_join_all;
use openred_core::record::SignedRecord;
use tokio_postgres::{Row as PgRow, Statement, types::ToSql};

use super::{
    super::{AuditRow, ChangeKind, Note, Row, columns, text::words_of_record},
    LOCK, Liveness, NodeRow, Outcome, Source, StoreError, Write,
};

/// Rows of an import that are sent at once.
const IMPORT_BATCH: usize = 500;

const NODE: &str = "\
    WITH node AS ( \
        INSERT INTO nodes (peer, public_key, addresses, envelope, sequence, region, metadata, registered, updated, withheld) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, false) \
        ON CONFLICT (peer) DO UPDATE SET public_key = $2, addresses = $3, envelope = $4, sequence = $5, region = $6, \
            metadata = $7, updated = $9 WHERE nodes.sequence <= $5 \
        RETURNING peer \
    ), life AS ( \
        INSERT INTO liveness (peer, state, since, deadline, heard, origin, stamp) \
        SELECT peer, $10::text, $11::bigint, $12::bigint, $13::bigint, $14::bigint, 0 FROM node \
        ON CONFLICT (peer) DO UPDATE SET state = $10, since = $11, deadline = $12, heard = $13, origin = $14 \
    ), log AS ( \
        INSERT INTO changes (at, kind, peer, origin) SELECT $9::bigint, $15::text, peer, $14::bigint FROM node WHERE $15::text <> '' \
    ) SELECT count(*) FROM node";

const FORGET: &str = "\
    WITH node AS (DELETE FROM nodes WHERE peer = $1 RETURNING peer), \
    life AS (DELETE FROM liveness WHERE peer = $1), \
    gone AS (DELETE FROM services WHERE provider = $1), \
    log AS (INSERT INTO changes (at, kind, peer, origin) SELECT $2::bigint, $3::text, peer, $4::bigint FROM node) \
    SELECT count(*) FROM node";

/// Of two records with one sequence the one with the smaller digest counts, as for every holder.
const SERVICE: &str = "\
    WITH put AS ( \
        INSERT INTO services (name, provider, kind, region, clusters, sequence, expires, withdrawn, envelope, words) \
        SELECT $1::text, $2::bytea, $3::text, $4::text, $5::text[], $6::bigint, $7::bigint, $8::boolean, $9::bytea, \
            array_to_tsvector($10::text[]) FROM nodes WHERE peer = $2 \
        ON CONFLICT (name, provider) DO UPDATE SET kind = $3, region = $4, clusters = $5, sequence = $6, expires = $7, \
            withdrawn = $8, envelope = $9, words = array_to_tsvector($10::text[]) \
        WHERE services.sequence < $6 OR services.sequence = $6 AND sha256(services.envelope) > sha256($9) \
        RETURNING 1 \
    ), log AS ( \
        INSERT INTO changes (at, kind, peer, name, origin) SELECT $11::bigint, $12::text, $2, $1, $13::bigint \
            FROM put WHERE $12::text <> '' \
    ) SELECT EXISTS (SELECT 1 FROM nodes WHERE peer = $2), \
        EXISTS (SELECT 1 FROM put), \
        EXISTS (SELECT 1 FROM services WHERE name = $1 AND provider = $2 AND envelope = $9)";

/// Several instances find the same node silent; one of them says so.
const LIVENESS: &str = "\
    WITH said AS ( \
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[]) \
            AS said (peer, state, since, deadline, heard, moved) \
    ), put AS ( \
        UPDATE liveness l SET state = said.state, since = said.since, deadline = said.deadline, heard = said.heard, \
            origin = $7::bigint, stamp = (SELECT last_value FROM stamps) \
        FROM said JOIN liveness old ON old.peer = said.peer WHERE l.peer = said.peer AND l.heard <= said.heard \
        RETURNING l.peer, said.state, said.moved AND said.state <> old.state AS moved \
    ) INSERT INTO changes (at, kind, peer, state, origin) SELECT $8::bigint, $9::text, peer, state, $7::bigint FROM put WHERE moved";

const WITHHOLD: &str = "\
    WITH node AS (UPDATE nodes SET withheld = $2 WHERE peer = $1 RETURNING peer), \
    log AS (INSERT INTO changes (at, kind, peer, origin) SELECT $3::bigint, $4::text, peer, $5::bigint FROM node) \
    SELECT count(*) FROM node";

const NOTE: &str = "\
    INSERT INTO notes (space, key, value, expires) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (space, key) DO UPDATE SET value = $3, expires = $4";

const UNNOTE: &str =
    "WITH note AS (DELETE FROM notes WHERE space = $1 AND key = $2 RETURNING 1) SELECT count(*) FROM note";

const AUDIT: &str = "INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)";

/// The snapshot of the statement holds the newest number before anything goes.
const PURGE: &str = "\
    WITH ended AS (DELETE FROM services WHERE expires <= $1), \
    expired AS (DELETE FROM notes WHERE expires <= $1), \
    old AS (DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - $3), \
    gone AS (DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - $2 RETURNING id) \
    UPDATE dropped SET change = (SELECT max(id) FROM gone) WHERE EXISTS (SELECT 1 FROM gone)";

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Outcome, StoreError>> + Send + 'a>>;

pub(super) async fn apply(client: &mut Client, origin: i64, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    let transaction = client.transaction().await?;
    let statements = Statements::prepare(&transaction).await?;
    lock(&transaction, &statements).await?;
    let outcomes = try_join_all(writes.iter().map(|write| send(&transaction, &statements, origin, write))).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

pub(super) async fn touch(client: &mut Client) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    transaction.execute("UPDATE dropped SET change = change WHERE false", &[]).await?;
    Ok(transaction.rollback().await?)
}

/// Everything goes, then everything comes.
pub(super) async fn import(client: &mut Client, origin: i64, source: Source) -> Result<u64, StoreError> {
    let transaction = client.transaction().await?;
    let statements = Statements::prepare(&transaction).await?;
    transaction.batch_execute("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '60s'").await?;
    lock(&transaction, &statements).await?;
    transaction
        .batch_execute(
            "UPDATE dropped SET change = greatest(change, (SELECT coalesce(max(id), 0) FROM changes)); \
             DELETE FROM nodes; DELETE FROM liveness; DELETE FROM services; DELETE FROM changes; DELETE FROM audit; \
             DELETE FROM notes",
        )
        .await?;
    let (mut rows, mut batch) = (0, Vec::new());
    let mut source = source.peekable();
    while let Some(row) = source.next() {
        batch.push(row?);
        rows += 1;
        if batch.len() == IMPORT_BATCH || source.peek().is_none() {
            try_join_all(batch.iter().map(|row| send_row(&transaction, &statements, origin, row))).await?;
            batch.clear();
        }
    }
    transaction.commit().await?;
    Ok(rows)
}

/// Waits until other batches are done, and counts this one.
async fn lock(transaction: &Transaction<'_>, statements: &Statements) -> Result<(), StoreError> {
    transaction.query_one(&statements.lock, &[&LOCK]).await?;
    transaction.query_one(&statements.stamp, &[]).await?;
    Ok(())
}

/// The statements of writes, prepared once for each connection.
struct Statements {
    lock: Statement,
    stamp: Statement,
    node: Statement,
    forget: Statement,
    service: Statement,
    liveness: Statement,
    withhold: Statement,
    note: Statement,
    unnote: Statement,
    audit: Statement,
    purge: Statement,
}

impl Statements {
    async fn prepare(transaction: &Transaction<'_>) -> Result<Self, StoreError> {
        let prepared = async |text| transaction.prepare_cached(text).await;
        Ok(Self {
            lock: prepared("SELECT pg_advisory_xact_lock($1)").await?,
            stamp: prepared("SELECT nextval('stamps')").await?,
            node: prepared(NODE).await?,
            forget: prepared(FORGET).await?,
            service: prepared(SERVICE).await?,
            liveness: prepared(LIVENESS).await?,
            withhold: prepared(WITHHOLD).await?,
            note: prepared(NOTE).await?,
            unnote: prepared(UNNOTE).await?,
            audit: prepared(AUDIT).await?,
            purge: prepared(PURGE).await?,
        })
    }
}

/// Sends one write when it is first polled; statements arrive in the order in which that happens.
fn send<'a>(transaction: &'a Transaction<'a>, statements: &'a Statements, origin: i64, write: &'a Write) -> Sent<'a> {
    match write {
        Write::Node(node) => put_node(transaction, statements, origin, node, ChangeKind::Registered.as_str()),
        Write::Forget { peer, why, at } => Box::pin(async move {
            let values: [&(dyn ToSql + Sync); 4] = [&peer.to_bytes(), &columns::signed(*at), &why.as_str(), &origin];
            counted(&transaction.query_one(&statements.forget, &values).await?, Outcome::Absent)
        }),
        Write::Service { record, at } => {
            let is_end = record.record().withdrawn;
            let kind = if is_end { ChangeKind::Withdrawn } else { ChangeKind::Published };
            put_service(transaction, statements, origin, record, *at, kind.as_str())
        }
        Write::Liveness(rows, at) => Box::pin(put_liveness(transaction, statements, origin, rows, *at)),
        Write::Withhold { peer, withheld, at } => Box::pin(async move {
            let kind = if *withheld { ChangeKind::Withheld } else { ChangeKind::Restored };
            let values: [&(dyn ToSql + Sync); 5] =
                [&peer.to_bytes(), withheld, &columns::signed(*at), &kind.as_str(), &origin];
            counted(&transaction.query_one(&statements.withhold, &values).await?, Outcome::Absent)
        }),
        Write::Note(note) => put_note(transaction, statements, note),
        Write::Unnote { space, key } => Box::pin(async move {
            counted(&transaction.query_one(&statements.unnote, &[space, key]).await?, Outcome::Absent)
        }),
        Write::Audit(line) => put_audit(transaction, statements, line),
        Write::Purge { now, changes, audit } => Box::pin(async move {
            let [now, changes, audit] = [*now, *changes, *audit].map(columns::signed);
            transaction.execute(&statements.purge, &[&now, &changes, &audit]).await?;
            Ok(Outcome::Applied)
        }),
    }
}

/// Sends one row of an import. The change log is told nothing.
fn send_row<'a>(transaction: &'a Transaction<'a>, statements: &'a Statements, origin: i64, row: &'a Row) -> Sent<'a> {
    match row {
        Row::Node(node) if node.withheld => Box::pin(async move {
            put_node(transaction, statements, origin, node, "").await?;
            let text = "UPDATE nodes SET withheld = true WHERE peer = $1";
            transaction.execute(text, &[&node.peer.to_bytes()]).await?;
            Ok(Outcome::Applied)
        }),
        Row::Node(node) => put_node(transaction, statements, origin, node, ""),
        Row::Service(record) => put_service(transaction, statements, origin, record, 0, ""),
        Row::Note(note) => put_note(transaction, statements, note),
        Row::Audit(line) => put_audit(transaction, statements, line),
    }
}

fn put_node<'a>(
    transaction: &'a Transaction<'a>,
    statements: &'a Statements,
    origin: i64,
    node: &'a NodeRow,
    kind: &'static str,
) -> Sent<'a> {
    Box::pin(async move {
        let numbers = [node.sequence, node.registered, node.updated].map(columns::signed);
        let life = [node.standing.since, node.standing.deadline, node.heard].map(columns::signed);
        let values: [&(dyn ToSql + Sync); 15] = [
            &node.peer.to_bytes(),
            &node.public_key,
            &columns::addresses_text(&node.addresses),
            &node.envelope,
            &numbers[0],
            &node.region,
            &columns::metadata_text(&node.metadata),
            &numbers[1],
            &numbers[2],
            &node.standing.state.as_str(),
            &life[0],
            &life[1],
            &life[2],
            &origin,
            &kind,
        ];
        counted(&transaction.query_one(&statements.node, &values).await?, Outcome::Stale)
    })
}

fn put_service<'a>(
    transaction: &'a Transaction<'a>,
    statements: &'a Statements,
    origin: i64,
    record: &'a SignedRecord,
    at: u64,
    kind: &'static str,
) -> Sent<'a> {
    Box::pin(async move {
        let said = record.record();
        let is_found = !said.withdrawn;
        let words = if is_found { words_of_record(said) } else { Vec::new() };
        let clusters: &[String] = if is_found { &said.clusters } else { &[] };
        let values: [&(dyn ToSql + Sync); 13] = [
            &said.name.as_str(),
            &said.provider.to_bytes(),
            &said.kind,
            &said.region,
            &clusters,
            &columns::signed(said.sequence),
            &columns::signed(said.expires_at()),
            &said.withdrawn,
            &record.envelope(),
            &words,
            &columns::signed(at),
            &kind,
            &origin,
        ];
        let row = transaction.query_one(&statements.service, &values).await?;
        let (is_node, is_put, is_known): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(match (is_node, is_put, is_known) {
            (false, ..) => Outcome::Absent,
            (true, true, _) => Outcome::Applied,
            (true, false, true) => Outcome::Known,
            (true, false, false) => Outcome::Stale,
        })
    })
}

async fn put_liveness(
    transaction: &Transaction<'_>,
    statements: &Statements,
    origin: i64,
    rows: &[Liveness],
    at: u64,
) -> Result<Outcome, StoreError> {
    // An update takes one row for each node: the last of those with the latest sign of life.
    let mut latest = BTreeMap::new();
    for row in rows {
        let held = latest.entry(row.peer.to_bytes()).or_insert(row);
        if row.heard >= held.heard {
            *held = row;
        }
    }
    let peers: Vec<&[u8]> = latest.keys().map(Vec::as_slice).collect();
    let states: Vec<&str> = latest.values().map(|row| row.standing.state.as_str()).collect();
    let numbers = |number: fn(&Liveness) -> u64| -> Vec<i64> {
        latest.values().map(|row| columns::signed(number(row))).collect()
    };
    let (since, deadline) = (numbers(|row| row.standing.since), numbers(|row| row.standing.deadline));
    let heard = numbers(|row| row.heard);
    let moved: Vec<bool> = latest.values().map(|row| row.moved).collect();
    let kind = ChangeKind::Moved.as_str();
    let values: [&(dyn ToSql + Sync); 9] =
        [&peers, &states, &since, &deadline, &heard, &moved, &origin, &columns::signed(at), &kind];
    transaction.execute(&statements.liveness, &values).await?;
    Ok(Outcome::Applied)
}

fn put_note<'a>(transaction: &'a Transaction<'a>, statements: &'a Statements, note: &'a Note) -> Sent<'a> {
    Box::pin(async move {
        let expires = columns::signed(note.expires);
        transaction.execute(&statements.note, &[&note.space, &note.key, &note.value, &expires]).await?;
        Ok(Outcome::Applied)
    })
}

fn put_audit<'a>(transaction: &'a Transaction<'a>, statements: &'a Statements, line: &'a AuditRow) -> Sent<'a> {
    Box::pin(async move {
        let values: [&(dyn ToSql + Sync); 5] =
            [&columns::signed(line.at), &line.actor, &line.action, &line.subject, &line.detail];
        transaction.execute(&statements.audit, &values).await?;
        Ok(Outcome::Applied)
    })
}

/// Whether a statement that counts what it wrote wrote something; else it is `otherwise`.
fn counted(row: &PgRow, otherwise: Outcome) -> Result<Outcome, StoreError> {
    let count: i64 = row.try_get(0)?;
    Ok(if count > 0 { Outcome::Applied } else { otherwise })
}
