-- Times are milliseconds since the Unix epoch. Texts are compared by their bytes, so that every database orders alike.

CREATE TABLE nodes (
    peer       bytea PRIMARY KEY,
    public_key bytea NOT NULL,
    addresses  text NOT NULL,            -- JSON list of multiaddrs
    envelope   bytea,
    sequence   bigint NOT NULL,
    region     text COLLATE "C" NOT NULL,
    metadata   text NOT NULL,            -- JSON object of strings
    registered bigint NOT NULL,
    updated    bigint NOT NULL,
    withheld   boolean NOT NULL
);
CREATE INDEX nodes_by_region ON nodes (region, peer);

-- Apart from the nodes, because every heartbeat ends up here; with room in each page to write a row beside its old one.
CREATE TABLE liveness (
    peer     bytea PRIMARY KEY,
    state    text NOT NULL,
    since    bigint NOT NULL,
    deadline bigint NOT NULL,
    heard    bigint NOT NULL,
    origin   bigint NOT NULL,            -- which instance wrote it
    stamp    bigint NOT NULL             -- when, counted
) WITH (fillfactor = 60);
CREATE INDEX liveness_by_stamp ON liveness (stamp);
CREATE SEQUENCE stamps;

CREATE TABLE services (
    name      text COLLATE "C" NOT NULL,
    provider  bytea NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    region    text COLLATE "C" NOT NULL,
    clusters  text[] NOT NULL,
    sequence  bigint NOT NULL,
    expires   bigint NOT NULL,
    withdrawn boolean NOT NULL,
    envelope  bytea NOT NULL,
    words     tsvector NOT NULL,
    PRIMARY KEY (name, provider)
);
CREATE INDEX services_by_provider ON services (provider);
CREATE INDEX services_by_kind ON services (kind, name, provider);
CREATE INDEX services_by_region ON services (region, name, provider);
CREATE INDEX services_by_expiry ON services (expires);
CREATE INDEX services_by_words ON services USING gin (words);
CREATE INDEX services_by_cluster ON services USING gin (clusters);

CREATE TABLE changes (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint NOT NULL,
    kind   text NOT NULL,
    peer   bytea NOT NULL,
    name   text,
    state  text,
    origin bigint NOT NULL
);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      bigint NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL
);

CREATE TABLE notes (
    space   text COLLATE "C" NOT NULL,
    key     bytea NOT NULL,
    value   bytea NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (space, key)
);
CREATE INDEX notes_by_expiry ON notes (expires);

-- The newest change that is not kept any more.
CREATE TABLE dropped (change bigint NOT NULL);
INSERT INTO dropped VALUES (0);
