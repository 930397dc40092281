-- The outbox. Times are integer milliseconds since 1970, UTC. `seq` only grows while a process runs.
--
--   held ──due──▶ pending ──2xx──▶ delivered        pending ──last failure──▶ dead
--     └─────────▶ cancelled                         (in_flight is not stored: after a crash it is pending)

CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    endpoint     TEXT NOT NULL,
    event        TEXT NOT NULL,
    entity       TEXT NOT NULL,
    at           INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('held', 'pending', 'delivered', 'dead', 'cancelled')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER,
    batch        TEXT,
    hold_key     TEXT,
    held_until   INTEGER,
    status       INTEGER,
    reason       TEXT,
    attempted_at INTEGER,
    took_ms      INTEGER,
    settled_at   INTEGER,
    body         BLOB NOT NULL,
    row          TEXT NOT NULL DEFAULT '',
    crc          INTEGER,
    context      BLOB,
    user         TEXT,
    conversation TEXT,
    log          TEXT,
    entity_spot  INTEGER
);

-- What dispatch reads by. Partial, so that the many settled rows weigh nothing in them.
CREATE INDEX pending_in_order  ON deliveries (endpoint, seq)         WHERE state = 'pending';
CREATE INDEX pending_of_entity ON deliveries (entity_spot, endpoint) WHERE state = 'pending';
CREATE INDEX pending_of_batch  ON deliveries (batch, seq)            WHERE state = 'pending' AND batch IS NOT NULL;
-- What ends holds.
CREATE INDEX held_by_time      ON deliveries (held_until)            WHERE state = 'held';
CREATE INDEX held_by_key       ON deliveries (hold_key)              WHERE state = 'held';
CREATE INDEX held_by_entity    ON deliveries (entity, held_until)    WHERE state = 'held';
-- What housekeeping drops.
CREATE INDEX settled_by_time   ON deliveries (state, settled_at)     WHERE settled_at IS NOT NULL;

-- What became of one row's events. '' stands in those that version 1 stored.
CREATE INDEX of_row            ON deliveries (row);

-- What people search by, in the order of ids, which is that of time. With the event, which is then looked at
-- without reading the row.
CREATE INDEX in_the_log      ON deliveries (endpoint, state, id, event);
CREATE INDEX of_event        ON deliveries (event, endpoint, id);

-- What is sent, by `seq`, and apart from what changes: to write down how an attempt ended must not write this
-- again. (What version 5 stored has it in `deliveries`, where all others have an empty body.)
CREATE TABLE bodies (
    seq     INTEGER PRIMARY KEY,
    body    BLOB NOT NULL,
    context BLOB
);

-- By which a user's and a conversation's are found, by `seq`. Spots (also `entity_spot`): see spots.py.
CREATE TABLE spots (
    seq               INTEGER PRIMARY KEY,
    user_spot         INTEGER,
    conversation_spot INTEGER
);
CREATE INDEX of_user         ON spots (user_spot)         WHERE user_spot IS NOT NULL;
CREATE INDEX of_conversation ON spots (conversation_spot) WHERE conversation_spot IS NOT NULL;

-- Between which ids the deliveries of each epoch of spots are.
CREATE TABLE epochs (
    epoch    INTEGER PRIMARY KEY,
    first_id TEXT NOT NULL,
    last_id  TEXT NOT NULL
);

-- How many there are in each state: counting a million rows takes 19 ms, each time.
CREATE TABLE counts (
    endpoint TEXT NOT NULL,
    state    TEXT NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, state)
) WITHOUT ROWID;

-- What happened a moment ago. `row` is '' for the departure of an entity, else the row that arrived.
CREATE TABLE marks (
    entity TEXT NOT NULL,
    row    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    spent  INTEGER NOT NULL,
    PRIMARY KEY (entity, row)
) WITHOUT ROWID;

-- The memory, for collections without pre-images: how far each scan has come, and the rows of its generation.
-- Rows of a generation that no scan names are forgotten, and cleared away a few at a time.
CREATE TABLE scans (
    generation INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL UNIQUE,
    names      TEXT NOT NULL,
    after      TEXT,
    rows       INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0
);

-- Backfills, how far each has come, as JSON.
CREATE TABLE backfills (
    name  TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;

-- Endpoints that are not simply sent what there is: circuit open, paused, slowed until.
CREATE TABLE standings (
    endpoint TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER
) WITHOUT ROWID;

-- How often something that was to be sent was taken back, so that who sends looks again.
CREATE TABLE recalls (
    endpoint TEXT PRIMARY KEY,
    number   INTEGER NOT NULL
) WITHOUT ROWID;

-- Endpoints that were made at run time. `key`: the name in small letters. `number`: in which order.
CREATE TABLE registered (
    key        TEXT PRIMARY KEY,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;

-- Of the whole set of them: grows with each change.
CREATE TABLE revision (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
);

-- What operators did.
CREATE TABLE audit (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    act       TEXT NOT NULL,
    subject   TEXT NOT NULL,
    way       TEXT NOT NULL,
    address   TEXT NOT NULL,
    forwarded TEXT,
    details   TEXT NOT NULL
);

-- How attempts at endpoints fared, by event and the hour (its begin). `durations`: how many took how long, by class.
CREATE TABLE figures (
    endpoint  TEXT NOT NULL,
    hour      INTEGER NOT NULL,
    event     TEXT NOT NULL,
    delivered INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    durations TEXT NOT NULL,
    PRIMARY KEY (endpoint, hour, event)
) WITHOUT ROWID;

-- What housekeeping drops.
CREATE INDEX figures_by_hour ON figures (hour);

CREATE TABLE memory (
    generation  INTEGER NOT NULL,
    id          TEXT NOT NULL,
    exact_after INTEGER NOT NULL,
    fields      TEXT NOT NULL,
    PRIMARY KEY (generation, id)
) WITHOUT ROWID;

-- `began`: when watching began. `recovery`: the repair of a gap that is under way, as JSON.
CREATE TABLE position (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    token    TEXT NOT NULL,
    at       INTEGER,
    through  INTEGER NOT NULL,
    began    INTEGER,
    recovery TEXT,
    crc      INTEGER
);
