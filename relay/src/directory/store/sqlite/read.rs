//! Questions to SQLite.

use libp2p_identity::PeerId;
use openred_core::record::SignedRecord;
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::{
    super::{AuditRow, Changes, Kept, Note, Row, columns},
    NodeQuery, NodeRow, ServiceKey, ServiceQuery, Sink, StoreError, Taker, rows,
};

/// Rows of one page of an export.
const EXPORT_PAGE: usize = 1000;

/// A condition and what is bound in it, in the order of the question marks.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    fn and(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.values.push(Box::new(value));
    }

    fn value(&mut self, value: impl ToSql + 'static) {
        self.values.push(Box::new(value));
    }
}

pub(super) fn nodes(
    connection: &Connection,
    query: &NodeQuery,
    after: Option<PeerId>,
    limit: usize,
) -> Result<Vec<NodeRow>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(after) = after {
        conditions.and("n.peer > ?", after.to_bytes());
    }
    if let Some(region) = &query.region {
        conditions.and("n.region = ?", region.clone());
    }
    if !query.states.is_empty() {
        let marks = vec!["?"; query.states.len()].join(", ");
        conditions.text.push_str(&format!(" AND l.state IN ({marks})"));
        query.states.iter().for_each(|state| conditions.value(state.as_str()));
    }
    conditions.value(limit as i64);
    let text = format!(
        "SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer WHERE true{} ORDER BY n.peer LIMIT ?",
        rows::NODE,
        conditions.text
    );
    collect(connection, &text, conditions.values, rows::node)
}

pub(super) fn nodes_of(connection: &Connection, peers: &[PeerId]) -> Result<Vec<NodeRow>, StoreError> {
    let text = format!("SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer WHERE n.peer = ?", rows::NODE);
    let mut found = Vec::new();
    for peer in peers {
        found.extend(collect(connection, &text, vec![Box::new(peer.to_bytes())], rows::node)?);
    }
    found.sort_by_key(|node| node.peer.to_bytes());
    Ok(found)
}

pub(super) fn services(
    connection: &Connection,
    query: &ServiceQuery,
    after: Option<&ServiceKey>,
    limit: usize,
) -> Result<Vec<SignedRecord>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(after) = after {
        conditions.and("(s.name, s.provider) > (?, ?)", after.name.clone());
        conditions.value(after.provider.to_bytes());
    }
    if let Some(name) = &query.name {
        conditions.and("s.name = ?", name.clone());
    }
    if let Some(kind) = &query.kind {
        conditions.and("s.kind = ?", kind.clone());
    }
    if let Some(region) = &query.region {
        conditions.and("s.region = ?", region.clone());
    }
    if let Some(now) = query.living_at {
        conditions.and("s.withdrawn = 0 AND s.expires > ?", columns::signed(now));
    }
    if let Some(cluster) = &query.cluster {
        conditions.and("s.id IN (SELECT service FROM service_clusters WHERE cluster = ?)", cluster.clone());
    }
    if !query.words.is_empty() {
        // Words have no quotation marks in them, and quoted they are no operators.
        let matching: Vec<String> = query.words.iter().map(|word| format!("\"{word}\"*")).collect();
        let condition = "s.id IN (SELECT rowid FROM service_words WHERE service_words MATCH ?)";
        conditions.and(condition, matching.join(" AND "));
    }
    conditions.value(limit as i64);
    let text =
        format!("SELECT s.envelope FROM services s WHERE true{} ORDER BY s.name, s.provider LIMIT ?", conditions.text);
    collect(connection, &text, conditions.values, |row| columns::record(row.get(0)?))
}

pub(super) fn services_of(connection: &Connection, providers: &[PeerId]) -> Result<Vec<SignedRecord>, StoreError> {
    let mut found = Vec::new();
    for provider in providers {
        let text = "SELECT envelope FROM services WHERE provider = ? ORDER BY name";
        found.extend(collect(connection, text, vec![Box::new(provider.to_bytes())], |row| {
            columns::record(row.get(0)?)
        })?);
    }
    Ok(found)
}

pub(super) fn load(connection: &mut Connection, mut taker: Taker) -> Result<(), StoreError> {
    let moment = connection.transaction()?;
    let text = format!("SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer", rows::NODE);
    let mut nodes = moment.prepare(&text)?;
    let mut found = nodes.query([])?;
    while let Some(row) = found.next()? {
        taker(Kept::Node(rows::kept_node(row)?));
    }
    let mut services = moment.prepare("SELECT name, provider, expires, withdrawn, envelope FROM services")?;
    let mut found = services.query([])?;
    while let Some(row) = found.next()? {
        taker(Kept::Service(rows::kept_service(row)?));
    }
    Ok(())
}

pub(super) fn changes(connection: &mut Connection, after: u64, limit: usize) -> Result<Changes, StoreError> {
    // One transaction, so that the numbers fit the rows.
    let moment = connection.transaction()?;
    let dropped: i64 = moment.query_row("SELECT change FROM dropped", [], |row| row.get(0))?;
    let newest: Option<i64> = moment.query_row("SELECT max(id) FROM changes", [], |row| row.get(0))?;
    let text = "SELECT id, at, kind, peer, name, state FROM changes WHERE id > ? ORDER BY id LIMIT ?";
    let values: Vec<Box<dyn ToSql>> = vec![Box::new(columns::signed(after)), Box::new(limit as i64)];
    let changes = collect(&moment, text, values, rows::change)?;
    let dropped = columns::unsigned(dropped);
    Ok(Changes { changes, newest: newest.map_or(dropped, columns::unsigned), dropped })
}

pub(super) fn audit(connection: &Connection, before: Option<u64>, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
    let text = "SELECT id, at, actor, action, subject, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?";
    let before = before.map_or(i64::MAX, columns::signed);
    collect(connection, text, vec![Box::new(before), Box::new(limit as i64)], rows::audit)
}

pub(super) fn notes(
    connection: &Connection,
    space: &str,
    after: Option<&[u8]>,
    limit: usize,
    now: u64,
) -> Result<Vec<Note>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.and("space = ?", space.to_owned());
    if let Some(after) = after {
        conditions.and("key > ?", after.to_owned());
    }
    conditions.and("expires > ?", columns::signed(now));
    conditions.value(limit as i64);
    let text =
        format!("SELECT space, key, value, expires FROM notes WHERE true{} ORDER BY key LIMIT ?", conditions.text);
    collect(connection, &text, conditions.values, rows::note)
}

pub(super) fn export(connection: &mut Connection, mut sink: Sink) -> Result<(), StoreError> {
    // The first question fixes the moment; the log keeps what came before until the last one.
    let moment = connection.transaction()?;
    let mut after = None;
    loop {
        let page = nodes(&moment, &NodeQuery::default(), after, EXPORT_PAGE)?;
        after = page.last().map(|node| node.peer);
        let is_last = page.len() < EXPORT_PAGE;
        page.into_iter().try_for_each(|node| sink(Row::Node(node)))?;
        if is_last {
            break;
        }
    }
    let mut after = None;
    loop {
        let page = services(&moment, &ServiceQuery::default(), after.as_ref(), EXPORT_PAGE)?;
        after = page.last().map(ServiceKey::of);
        let is_last = page.len() < EXPORT_PAGE;
        page.into_iter().try_for_each(|record| sink(Row::Service(record)))?;
        if is_last {
            break;
        }
    }
    let mut notes = moment.prepare("SELECT space, key, value, expires FROM notes ORDER BY space, key")?;
    let mut found = notes.query([])?;
    while let Some(row) = found.next()? {
        sink(Row::Note(rows::note(row)?))?;
    }
    let mut audit = moment.prepare("SELECT id, at, actor, action, subject, detail FROM audit ORDER BY id")?;
    let mut found = audit.query(params![])?;
    while let Some(row) = found.next()? {
        sink(Row::Audit(rows::audit(row)?))?;
    }
    Ok(())
}

fn collect<T>(
    connection: &Connection,
    text: &str,
    values: Vec<Box<dyn ToSql>>,
    row: impl Fn(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(text)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut all = Vec::new();
    while let Some(next) = found.next()? {
        all.push(row(next)?);
    }
    Ok(all)
}
