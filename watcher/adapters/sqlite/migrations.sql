-- What makes a file of the version before into one of this version. `schema.sql` is what all of them come to:
-- a new file and one that went through them are the same. Columns are added at the end, where SQLite adds them.

-- version: 2
-- Which row a delivery tells of; not known of those that are there already.
ALTER TABLE deliveries ADD COLUMN row TEXT NOT NULL DEFAULT '';
CREATE INDEX of_row ON deliveries (row);
-- A checksum of what never changes (checks.py); those that are there already have none.
ALTER TABLE deliveries ADD COLUMN crc INTEGER;
-- When watching began, and the repair of a gap that is under way.
ALTER TABLE position ADD COLUMN began INTEGER;
ALTER TABLE position ADD COLUMN recovery TEXT;
ALTER TABLE position ADD COLUMN crc INTEGER;
-- Backfills, and how far each has come.
CREATE TABLE backfills (
    name  TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;

-- version: 3
-- Endpoints that are not simply sent what there is.
CREATE TABLE standings (
    endpoint TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER
) WITHOUT ROWID;
-- The event as its endpoint may know it, where the body does not tell and URL or headers are made of it.
ALTER TABLE deliveries ADD COLUMN context BLOB;

-- version: 4
-- What people search by; not known of those that are there already.
ALTER TABLE deliveries ADD COLUMN user TEXT;
ALTER TABLE deliveries ADD COLUMN conversation TEXT;
-- What is kept of attempts, as a JSON array.
ALTER TABLE deliveries ADD COLUMN log TEXT;
CREATE INDEX in_the_log      ON deliveries (endpoint, state, id, event);
CREATE INDEX of_event        ON deliveries (event, endpoint, id);
CREATE INDEX of_user         ON deliveries (user, id)         WHERE user IS NOT NULL;
CREATE INDEX of_conversation ON deliveries (conversation, id) WHERE conversation IS NOT NULL;
-- How often something that was to be sent was taken back, so that who sends looks again.
CREATE TABLE recalls (
    endpoint TEXT PRIMARY KEY,
    number   INTEGER NOT NULL
) WITHOUT ROWID;

-- version: 5
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

-- version: 6
-- What is sent, from now on. What is there already stays where it is, until it is dropped: to move it would
-- take minutes where there are gigabytes of it.
CREATE TABLE bodies (
    seq     INTEGER PRIMARY KEY,
    body    BLOB NOT NULL,
    context BLOB
);

-- version: 7
-- Spots (spots.py) in place of texts in indexes. Those that people search by are apart from deliveries, which
-- are left as they are: to write each of them again would be a second copy of them all. `spot` is spots.py's.
DROP INDEX of_user;
DROP INDEX of_conversation;
CREATE TABLE spots (
    seq               INTEGER PRIMARY KEY,
    user_spot         INTEGER,
    conversation_spot INTEGER
);
INSERT INTO spots
SELECT seq, spot(seq, user), spot(seq, conversation) FROM deliveries
WHERE user IS NOT NULL OR conversation IS NOT NULL ORDER BY seq;
CREATE INDEX of_user         ON spots (user_spot)         WHERE user_spot IS NOT NULL;
CREATE INDEX of_conversation ON spots (conversation_spot) WHERE conversation_spot IS NOT NULL;
CREATE TABLE epochs (
    epoch    INTEGER PRIMARY KEY,
    first_id TEXT NOT NULL,
    last_id  TEXT NOT NULL
);
INSERT INTO epochs
SELECT spot(seq, '') >> 32 AS epoch, min(id), max(id) FROM deliveries GROUP BY epoch;
-- What is sent again gets one then.
ALTER TABLE deliveries ADD COLUMN entity_spot INTEGER;
DROP INDEX pending_of_entity;
UPDATE deliveries SET entity_spot = spot(seq, entity) WHERE state = 'pending';
CREATE INDEX pending_of_entity ON deliveries (entity_spot, endpoint) WHERE state = 'pending';
