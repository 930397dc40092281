PRAGMA application_id = 1279481649;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
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
INSERT INTO "audit" VALUES(1,1795521600000,'created','Billing','api','127.0.0.1',NULL,'{}');
CREATE TABLE backfills (
    name  TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "backfills" VALUES('a backfill','{"since":1795521600000,"until":1795521700000,"events":["message.created"],"collection":null,"after":null,"rows":3,"stored":2,"done":true}');
CREATE TABLE bodies (
    seq     INTEGER PRIMARY KEY,
    body    BLOB NOT NULL,
    context BLOB
);
INSERT INTO "bodies" VALUES(1,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2264656C697665726564227D',X'7B7D');
INSERT INTO "bodies" VALUES(2,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2272657472696564227D',NULL);
INSERT INTO "bodies" VALUES(3,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2264656164227D',NULL);
INSERT INTO "bodies" VALUES(4,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2262617463686564227D',NULL);
INSERT INTO "bodies" VALUES(5,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2270656E64696E67227D',NULL);
INSERT INTO "bodies" VALUES(6,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2272656675736564227D',NULL);
INSERT INTO "bodies" VALUES(7,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2268656C64227D',NULL);
INSERT INTO "bodies" VALUES(8,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A2263616E63656C6C6564227D',NULL);
INSERT INTO "bodies" VALUES(10,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A22746865697273227D',NULL);
INSERT INTO "bodies" VALUES(11,X'7B226576656E74223A226D6573736167652E63726561746564222C226E616D65223A226C65745F676F227D',NULL);
CREATE TABLE counts (
    endpoint TEXT NOT NULL,
    state    TEXT NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, state)
) WITHOUT ROWID;
INSERT INTO "counts" VALUES('audit','pending',1);
INSERT INTO "counts" VALUES('crm','cancelled',1);
INSERT INTO "counts" VALUES('crm','dead',2);
INSERT INTO "counts" VALUES('crm','delivered',1);
INSERT INTO "counts" VALUES('crm','held',1);
INSERT INTO "counts" VALUES('crm','pending',4);
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
    log          TEXT
);
INSERT INTO "deliveries" VALUES(1,'webhook_delivered','crm','message.created','conversation:c1',1795521600000,'delivered',0,NULL,NULL,NULL,NULL,200,NULL,1795521600000,12,1795521600012,X'','messages:1',1102038007,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(2,'webhook_retried','crm','message.created','conversation:c1',1795521600000,'pending',1,1795521660000,NULL,NULL,NULL,503,'status 503',1795521600000,12,NULL,X'','messages:2',243804243,NULL,'ann','c1',NULL);
INSERT INTO "deliveries" VALUES(3,'webhook_dead','crm','message.created','conversation:c1',1795521600000,'dead',1,NULL,NULL,NULL,NULL,NULL,'refused',1795521600000,12,1795521600012,X'','messages:3',537418098,NULL,'ann','c1',NULL);
INSERT INTO "deliveries" VALUES(4,'webhook_batched','crm','message.created','conversation:c1',1795521600000,'pending',0,NULL,'webhook_batch',NULL,NULL,NULL,NULL,NULL,NULL,NULL,X'','messages:4',1525732525,NULL,'ann','c1',NULL);
INSERT INTO "deliveries" VALUES(5,'webhook_pending','crm','message.created','conversation:c1',1795521600000,'pending',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,X'','',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(6,'webhook_refused','crm','message.created','conversation:c1',1795521600000,'dead',0,NULL,NULL,NULL,NULL,NULL,'KeyError in the rule at messages.yaml:3',NULL,NULL,1795665269003,X'','messages:6',2803760475,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(7,'webhook_held','crm','message.created','conversation:c1',1795521600000,'held',0,NULL,NULL,'messages:1',1795521660000,NULL,NULL,NULL,NULL,NULL,X'','messages:7',1288695536,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(8,'webhook_cancelled','crm','message.created','conversation:c1',1795521600000,'cancelled',0,NULL,NULL,'messages:2',1795521660000,NULL,'finished',NULL,NULL,1795665269011,X'','messages:8',1114071758,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(10,'webhook_theirs','audit','message.created','conversation:c1',1795521600000,'pending',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,X'','messages:10',1916999165,NULL,NULL,'c2',NULL);
INSERT INTO "deliveries" VALUES(11,'webhook_let_go','crm','message.created','conversation:c1',1795521600000,'pending',0,NULL,NULL,'messages:3',1795521660000,NULL,NULL,NULL,NULL,NULL,X'','messages:11',547143777,NULL,'bob',NULL,NULL);
CREATE TABLE figures (
    endpoint  TEXT NOT NULL,
    hour      INTEGER NOT NULL,
    event     TEXT NOT NULL,
    delivered INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    durations TEXT NOT NULL,
    PRIMARY KEY (endpoint, hour, event)
) WITHOUT ROWID;
INSERT INTO "figures" VALUES('crm',1795521600000,'message.created',1,0,'{"9":1}');
CREATE TABLE marks (
    entity TEXT NOT NULL,
    row    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    spent  INTEGER NOT NULL,
    PRIMARY KEY (entity, row)
) WITHOUT ROWID;
INSERT INTO "marks" VALUES('conversation:c1','',1795521600000,0);
INSERT INTO "marks" VALUES('user:u1','sessions:1',1795521600000,0);
CREATE TABLE memory (
    generation  INTEGER NOT NULL,
    id          TEXT NOT NULL,
    exact_after INTEGER NOT NULL,
    fields      TEXT NOT NULL,
    PRIMARY KEY (generation, id)
) WITHOUT ROWID;
INSERT INTO "memory" VALUES(1,'new',1795521600000,'[3,{"$date":1795521600000},"u1"]');
INSERT INTO "memory" VALUES(1,'old',1795521600000,'[2,"u1"]');
CREATE TABLE position (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    token    TEXT NOT NULL,
    at       INTEGER,
    through  INTEGER NOT NULL,
    began    INTEGER,
    recovery TEXT,
    crc      INTEGER
);
INSERT INTO "position" VALUES(1,'82AB',1795521600000,1795521600000,1795521600000,NULL,1647644052);
CREATE TABLE recalls (
    endpoint TEXT PRIMARY KEY,
    number   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE registered (
    key        TEXT PRIMARY KEY,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO "registered" VALUES('billing',1,'Billing',1,1795521600000,1795521600000,X'00');
CREATE TABLE revision (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
);
INSERT INTO "revision" VALUES(1,1);
CREATE TABLE scans (
    generation INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL UNIQUE,
    names      TEXT NOT NULL,
    after      TEXT,
    rows       INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "scans" VALUES(1,'messages','["expiredAt", "user"]','here',1,0);
INSERT INTO "scans" VALUES(2,'files','["file_id"]',NULL,0,0);
CREATE TABLE standings (
    endpoint TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER
) WITHOUT ROWID;
INSERT INTO "standings" VALUES('crm','paused','by an operator',1795521600000,NULL);
CREATE INDEX pending_in_order  ON deliveries (endpoint, seq)         WHERE state = 'pending';
CREATE INDEX pending_of_entity ON deliveries (endpoint, entity, seq) WHERE state = 'pending';
CREATE INDEX pending_of_batch  ON deliveries (batch, seq)            WHERE state = 'pending' AND batch IS NOT NULL;
CREATE INDEX held_by_time      ON deliveries (held_until)            WHERE state = 'held';
CREATE INDEX held_by_key       ON deliveries (hold_key)              WHERE state = 'held';
CREATE INDEX held_by_entity    ON deliveries (entity, held_until)    WHERE state = 'held';
CREATE INDEX settled_by_time   ON deliveries (state, settled_at)     WHERE settled_at IS NOT NULL;
CREATE INDEX of_row            ON deliveries (row);
CREATE INDEX in_the_log      ON deliveries (endpoint, state, id, event);
CREATE INDEX of_event        ON deliveries (event, endpoint, id);
CREATE INDEX of_user         ON deliveries (user, id)         WHERE user IS NOT NULL;
CREATE INDEX of_conversation ON deliveries (conversation, id) WHERE conversation IS NOT NULL;
CREATE INDEX figures_by_hour ON figures (hour);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
INSERT INTO "sqlite_sequence" VALUES('scans',2);
COMMIT;
