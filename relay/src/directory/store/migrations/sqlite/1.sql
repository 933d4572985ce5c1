-- Times are milliseconds since the Unix epoch.

CREATE TABLE nodes (
    peer       BLOB PRIMARY KEY,
    public_key BLOB NOT NULL,
    addresses  TEXT NOT NULL,            -- JSON list of multiaddrs
    envelope   BLOB,
    sequence   INTEGER NOT NULL,
    region     TEXT NOT NULL,
    metadata   TEXT NOT NULL,            -- JSON object of strings
    registered INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    withheld   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX nodes_by_region ON nodes (region, peer);

-- Apart from the nodes, because every heartbeat ends up here.
CREATE TABLE liveness (
    peer     BLOB PRIMARY KEY,
    state    TEXT NOT NULL,
    since    INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    heard    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE services (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    provider  BLOB NOT NULL,
    kind      TEXT NOT NULL,
    region    TEXT NOT NULL,
    expires   INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL,
    envelope  BLOB NOT NULL,
    UNIQUE (name, provider)
);
CREATE INDEX services_by_provider ON services (provider);
CREATE INDEX services_by_kind ON services (kind, name, provider);
CREATE INDEX services_by_region ON services (region, name, provider);
CREATE INDEX services_by_expiry ON services (expires);

CREATE TABLE service_clusters (
    cluster TEXT NOT NULL,
    service INTEGER NOT NULL,
    PRIMARY KEY (cluster, service)
) WITHOUT ROWID;
CREATE INDEX service_clusters_by_service ON service_clusters (service);

-- The words come ready made and in lower case, so the tokenizer has only to split at spaces.
CREATE VIRTUAL TABLE service_words USING fts5 (
    words, content = '', contentless_delete = 1, tokenize = 'ascii', detail = 'none', prefix = '2 3'
);

CREATE TABLE changes (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    peer  BLOB NOT NULL,
    name  TEXT,
    state TEXT
);

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
);

CREATE TABLE notes (
    space   TEXT NOT NULL,
    key     BLOB NOT NULL,
    value   BLOB NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;
CREATE INDEX notes_by_expiry ON notes (expires);

-- The newest change that is not kept any more.
CREATE TABLE dropped (change INTEGER NOT NULL);
INSERT INTO dropped VALUES (0);
