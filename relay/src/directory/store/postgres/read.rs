//! Questions to PostgreSQL.

use std::{future::Future, iter, pin::pin};

use deadpool_postgres::{Client, GenericClient};
use futures::TryStreamExt;
use libp2p_identity::PeerId;
use openred_core::record::SignedRecord;
use tokio_postgres::{IsolationLevel, Row as PgRow, types::ToSql};

use super::{
    super::{AuditRow, Changes, Kept, Liveness, Note, Row, columns},
    NodeQuery, NodeRow, ServiceKey, ServiceQuery, Sink, StoreError, Taker, rows,
};

/// Conditions, and what is bound in them.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Conditions {
    /// Adds a condition in which `?` stands for the value.
    fn and(&mut self, condition: &str, value: impl ToSql + Send + Sync + 'static) {
        let place = self.bind(value);
        self.text.push_str(" AND ");
        self.text.push_str(&condition.replace('?', &place));
    }

    /// Binds a value; what stands for it.
    fn bind(&mut self, value: impl ToSql + Send + Sync + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }
}

async fn query<T>(
    client: &impl GenericClient,
    text: &str,
    values: &[Box<dyn ToSql + Send + Sync>],
    row: impl Fn(&PgRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let statement = client.prepare_cached(text).await?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    client.query(&statement, &values).await?.iter().map(row).collect()
}

pub(super) async fn nodes(
    client: &impl GenericClient,
    wanted: &NodeQuery,
    after: Option<PeerId>,
    limit: usize,
) -> Result<Vec<NodeRow>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(after) = after {
        conditions.and("n.peer > ?", after.to_bytes());
    }
    if let Some(region) = &wanted.region {
        conditions.and("n.region = ?", region.clone());
    }
    if !wanted.states.is_empty() {
        let states: Vec<&str> = wanted.states.iter().map(|state| state.as_str()).collect();
        conditions.and("l.state = ANY (?)", states);
    }
    let limit = conditions.bind(limit as i64);
    let text = format!(
        "SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer WHERE true{} ORDER BY n.peer LIMIT {limit}",
        rows::NODE,
        conditions.text
    );
    query(client, &text, &conditions.values, rows::node).await
}

pub(super) async fn nodes_of(client: &impl GenericClient, peers: &[PeerId]) -> Result<Vec<NodeRow>, StoreError> {
    let text = format!(
        "SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer WHERE n.peer = ANY ($1) ORDER BY n.peer",
        rows::NODE
    );
    query(client, &text, &[Box::new(bytes_of(peers))], rows::node).await
}

pub(super) async fn services(
    client: &impl GenericClient,
    wanted: &ServiceQuery,
    after: Option<&ServiceKey>,
    limit: usize,
) -> Result<Vec<SignedRecord>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(after) = after {
        let name = conditions.bind(after.name.clone());
        conditions.and(&format!("(name, provider) > ({name}, ?)"), after.provider.to_bytes());
    }
    if let Some(name) = &wanted.name {
        conditions.and("name = ?", name.clone());
    }
    if let Some(kind) = &wanted.kind {
        conditions.and("kind = ?", kind.clone());
    }
    if let Some(region) = &wanted.region {
        conditions.and("region = ?", region.clone());
    }
    if let Some(now) = wanted.living_at {
        conditions.and("NOT withdrawn AND expires > ?", columns::signed(now));
    }
    if let Some(cluster) = &wanted.cluster {
        conditions.and("clusters @> ?", vec![cluster.clone()]);
    }
    if !wanted.words.is_empty() {
        // Words have no quotation marks in them, and quoted they are no operators.
        let matching: Vec<String> = wanted.words.iter().map(|word| format!("'{word}':*")).collect();
        conditions.and("words @@ ?::text::tsquery", matching.join(" & "));
    }
    let limit = conditions.bind(limit as i64);
    let text =
        format!("SELECT envelope FROM services WHERE true{} ORDER BY name, provider LIMIT {limit}", conditions.text);
    query(client, &text, &conditions.values, |row| columns::record(row.try_get(0)?)).await
}

pub(super) async fn services_of(
    client: &impl GenericClient,
    providers: &[PeerId],
) -> Result<Vec<SignedRecord>, StoreError> {
    let text = "SELECT envelope FROM services WHERE provider = ANY ($1) ORDER BY provider, name";
    query(client, text, &[Box::new(bytes_of(providers))], |row| columns::record(row.try_get(0)?)).await
}

pub(super) async fn load(client: &mut Client, mut taker: Taker) -> Result<(), StoreError> {
    let moment = at_one_moment(client).await?;
    // One statement reads everything, in the place of many that would each begin with a search.
    moment.batch_execute("SET LOCAL statement_timeout = '60s'").await?;
    let text = format!("SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer", rows::NODE);
    each(&moment, &text, |row| rows::kept_node(row).map(|node| taker(Kept::Node(node)))).await?;
    let text = "SELECT name, provider, expires, withdrawn, envelope FROM services";
    each(&moment, text, |row| rows::kept_service(row).map(|service| taker(Kept::Service(service)))).await
}

/// Hands over rows as they come, so that never all of them are in memory.
async fn each(
    client: &impl GenericClient,
    text: &str,
    mut take: impl FnMut(&PgRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut found = pin!(client.query_raw(text, iter::empty::<i64>()).await?);
    while let Some(row) = found.try_next().await? {
        take(&row)?;
    }
    Ok(())
}

pub(super) async fn changes(client: &mut Client, origin: i64, after: u64, limit: usize) -> Result<Changes, StoreError> {
    // One moment, so that the numbers fit the rows.
    let moment = at_one_moment(client).await?;
    let text = "SELECT change, (SELECT max(id) FROM changes) FROM dropped";
    let (dropped, newest): (i64, Option<i64>) = {
        let statement = moment.prepare_cached(text).await?;
        let row = moment.query_one(&statement, &[]).await?;
        (row.try_get(0)?, row.try_get(1)?)
    };
    let text = "SELECT id, at, kind, peer, name, state, origin FROM changes WHERE id > $1 ORDER BY id LIMIT $2";
    let values: [Box<dyn ToSql + Send + Sync>; 2] = [Box::new(columns::signed(after)), Box::new(limit as i64)];
    let changes = query(&moment, text, &values, |row| rows::change(row, origin)).await?;
    let dropped = columns::unsigned(dropped);
    Ok(Changes { changes, newest: newest.map_or(dropped, columns::unsigned), dropped })
}

pub(super) async fn liveness(
    client: &impl GenericClient,
    origin: i64,
    stamp: u64,
    limit: usize,
) -> Result<Vec<(u64, Liveness)>, StoreError> {
    // All rows of one batch have one stamp, and a page must not end within a batch.
    let text = "SELECT stamp, peer, state, since, deadline, heard FROM liveness WHERE stamp > $1 AND origin <> $2 \
         ORDER BY stamp FETCH FIRST $3 ROWS WITH TIES";
    let values: [Box<dyn ToSql + Send + Sync>; 3] =
        [Box::new(columns::signed(stamp)), Box::new(origin), Box::new(limit as i64)];
    query(client, text, &values, rows::liveness).await
}

pub(super) async fn newest_stamp(client: &impl GenericClient) -> Result<u64, StoreError> {
    let newest = query(client, "SELECT coalesce(max(stamp), 0) FROM liveness", &[], |row| rows::number(row, 0)).await?;
    Ok(newest.first().copied().unwrap_or(0))
}

pub(super) async fn audit(
    client: &impl GenericClient,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let text = "SELECT id, at, actor, action, subject, detail FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let before = before.map_or(i64::MAX, columns::signed);
    query(client, text, &[Box::new(before), Box::new(limit as i64)], rows::audit).await
}

pub(super) async fn notes(
    client: &impl GenericClient,
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
    let limit = conditions.bind(limit as i64);
    let text = format!(
        "SELECT space, key, value, expires FROM notes WHERE true{} ORDER BY key LIMIT {limit}",
        conditions.text
    );
    query(client, &text, &conditions.values, rows::note).await
}

pub(super) async fn export(client: &mut Client, mut sink: Sink) -> Result<(), StoreError> {
    let moment = at_one_moment(client).await?;
    // Each statement reads everything of its kind; the time counts until the last row is taken.
    moment.batch_execute("SET LOCAL statement_timeout = '10min'").await?;
    let text = format!("SELECT {} FROM nodes n JOIN liveness l ON l.peer = n.peer ORDER BY n.peer", rows::NODE);
    each(&moment, &text, |row| sink(Row::Node(rows::node(row)?))).await?;
    let text = "SELECT envelope FROM services ORDER BY name, provider";
    each(&moment, text, |row| sink(Row::Service(columns::record(row.try_get(0)?)?))).await?;
    let text = "SELECT space, key, value, expires FROM notes ORDER BY space, key";
    each(&moment, text, |row| sink(Row::Note(rows::note(row)?))).await?;
    let text = "SELECT id, at, actor, action, subject, detail FROM audit ORDER BY id";
    each(&moment, text, |row| sink(Row::Audit(rows::audit(row)?))).await
}

fn at_one_moment(
    client: &mut Client,
) -> impl Future<Output = Result<deadpool_postgres::Transaction<'_>, tokio_postgres::Error>> {
    client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()
}

fn bytes_of(peers: &[PeerId]) -> Vec<Vec<u8>> {
    peers.iter().map(|peer| peer.to_bytes()).collect()
}
