-- Every statement of the outbox, by name (statements.py hands them out).
-- Lists come as one JSON array: one statement for many rows keeps the interpreter lock out of the way.

-- name: checkpoint
SELECT token, at FROM position;

-- name: position
SELECT token, at, through, began, recovery, crc FROM position;

-- name: keep_position
INSERT INTO position (one, token, at, through, began, recovery, crc)
VALUES (1, :token, :at, :through, :through, :recovery, :crc)
ON CONFLICT (one) DO UPDATE
SET token = excluded.token, at = excluded.at, through = excluded.through, recovery = excluded.recovery,
    crc = excluded.crc;

-- name: marks
SELECT entity, row, at, spent FROM marks ORDER BY at, entity, row;

-- name: keep_mark
INSERT INTO marks (entity, row, at, spent) VALUES (:entity, :row, :at, :spent)
ON CONFLICT (entity, row) DO UPDATE SET at = excluded.at, spent = excluded.spent;

-- name: version
-- Another one when another connection has written since.
PRAGMA data_version;

-- name: last_seq
-- The highest that was ever given. Whoever had it may be forgotten, and who sends has passed it.
SELECT max(
    coalesce((SELECT max(seq) FROM deliveries), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0)
);

-- name: keep_last_seq
-- In SQLite's own table of such numbers, which knows nothing of `deliveries` unless it is told.
REPLACE INTO sqlite_sequence (rowid, name, seq)
VALUES ((SELECT rowid FROM sqlite_sequence WHERE name = 'deliveries'), 'deliveries', :seq);

-- name: held_due
SELECT seq, endpoint, id, entity FROM deliveries
WHERE state = 'held' AND held_until <= :through AND hold_key NOT IN (SELECT value FROM json_each(:lifted))
ORDER BY held_until, seq;

-- name: held_of_row
SELECT seq, endpoint, id, entity FROM deliveries
WHERE state = 'held' AND hold_key = :key AND id NOT IN (SELECT value FROM json_each(:ahead)) ORDER BY seq;

-- name: held_of_entity
SELECT seq, endpoint, id, entity FROM deliveries
WHERE state = 'held' AND entity = :key AND id NOT IN (SELECT value FROM json_each(:ahead))
ORDER BY held_until, seq;

-- name: let_go
UPDATE deliveries SET seq = :next, state = 'pending', entity_spot = :spot WHERE seq = :seq;

-- name: move_body
UPDATE bodies SET seq = :next WHERE seq = :seq;

-- name: move_spots
UPDATE spots
SET seq = :next, user_spot = (:spot >> 32 << 32) | (user_spot & 0xFFFFFFFF),
    conversation_spot = (:spot >> 32 << 32) | (conversation_spot & 0xFFFFFFFF)
WHERE seq = :seq;

-- name: cancel
UPDATE deliveries SET state = 'cancelled', reason = :reason, settled_at = :now WHERE seq = :seq;

-- name: pending
SELECT seq, id, endpoint, event, entity, row, at, attempts, due_at, batch, crc,
       coalesce(bodies.body, deliveries.body), coalesce(bodies.context, deliveries.context)
FROM deliveries LEFT JOIN bodies USING (seq)
WHERE state = 'pending' AND endpoint = :endpoint AND seq > :after ORDER BY seq LIMIT :limit;

-- name: pending_of
-- From the epoch of `start` on. `spot`: what the entity would have there.
SELECT seq, id, endpoint, event, entity, row, at, attempts, due_at, batch, crc,
       coalesce(bodies.body, deliveries.body), coalesce(bodies.context, deliveries.context)
FROM epochs
CROSS JOIN deliveries ON entity_spot = (epoch << 32) | (:spot & 0xFFFFFFFF)
LEFT JOIN bodies USING (seq)
WHERE epoch >= :spot >> 32 AND state = 'pending' AND endpoint = :endpoint AND entity = :entity AND seq >= :start
ORDER BY epoch, seq LIMIT :limit;

-- name: members
SELECT seq, id, endpoint, event, entity, row, at, attempts, due_at, batch, crc,
       coalesce(bodies.body, deliveries.body), coalesce(bodies.context, deliveries.context)
FROM deliveries LEFT JOIN bodies USING (seq)
WHERE state = 'pending' AND batch = :batch AND endpoint = :endpoint ORDER BY seq;

-- name: any_pending
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'pending' AND endpoint = :endpoint AND seq > :after);

-- name: of_row
SELECT id, endpoint, event, at, state, attempts, status, reason, due_at, held_until, attempted_at, settled_at,
       user, conversation
FROM deliveries WHERE row = :row ORDER BY seq DESC LIMIT :limit;

-- name: of_ids
SELECT id, endpoint, event, at, state, attempts, status, reason, due_at, held_until, attempted_at, settled_at,
       user, conversation
FROM deliveries WHERE id IN (SELECT value FROM json_each(:ids));

-- name: dossier
SELECT id, endpoint, event, at, state, attempts, status, reason, due_at, held_until, attempted_at, settled_at,
       user, conversation, entity, row, coalesce(bodies.body, deliveries.body), log
FROM deliveries LEFT JOIN bodies USING (seq) WHERE id = :id;

-- name: to_replay
-- In the order in which they were sent at first; ids of one change say nothing of it.
SELECT seq, endpoint, id, entity, state FROM deliveries
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('delivered', 'dead', 'cancelled')
  AND NOT (state = 'dead' AND attempted_at IS NULL)
ORDER BY substr(id, 1, 24), seq;

-- name: replay
UPDATE deliveries
SET seq = :next, state = 'pending', entity_spot = :spot, attempts = 0, due_at = NULL, batch = NULL, status = NULL, reason = NULL,
    attempted_at = NULL, took_ms = NULL, settled_at = NULL
WHERE seq = :seq;

-- name: cancel_all
UPDATE deliveries SET state = 'cancelled', reason = :reason, settled_at = :now, due_at = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = :state
RETURNING endpoint;

-- name: recall
INSERT INTO recalls (endpoint, number) VALUES (:endpoint, 1)
ON CONFLICT (endpoint) DO UPDATE SET number = number + 1;

-- name: recalls
SELECT endpoint, number FROM recalls;

-- name: bind
UPDATE deliveries SET batch = :batch
WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(:seqs));

-- name: settle
-- {told}: a row of values for each.
UPDATE deliveries
SET state = new.state, attempts = new.attempts, due_at = new.due_at, status = new.status,
    reason = new.reason, attempted_at = new.attempted_at, took_ms = new.took_ms, settled_at = new.settled_at,
    log = CASE
        WHEN log IS NULL THEN '[' || new.attempt || ']'
        -- Written before, by a transaction whose end was not heard of.
        WHEN json_extract(log, '$[#-1].at') = new.attempted_at THEN log
        WHEN json_array_length(log) < ? THEN json_insert(log, '$[#]', json(new.attempt))
        ELSE json_insert(json_remove(log, '$[0]'), '$[#]', json(new.attempt))
    END
FROM ({told}) AS new
WHERE deliveries.seq = new.seq AND deliveries.state = 'pending';

-- name: are_there
SELECT seq FROM deliveries WHERE seq BETWEEN :first AND :last;

-- name: are_pending
SELECT seq FROM deliveries WHERE seq IN (SELECT value FROM json_each(:seqs)) AND state = 'pending';

-- name: counts
SELECT endpoint, state, number FROM counts;

-- name: oldest
-- One look into the index for each endpoint. To group what is pending would read all of it.
SELECT endpoint, (
    SELECT at FROM deliveries WHERE state = 'pending' AND endpoint = counts.endpoint ORDER BY seq LIMIT 1
) FROM counts WHERE state = 'pending' AND number > 0;

-- name: count
INSERT INTO counts (endpoint, state, number) VALUES (:endpoint, :state, :by)
ON CONFLICT (endpoint, state) DO UPDATE SET number = number + excluded.number;

-- name: used_bytes
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size();

-- name: forget
DELETE FROM deliveries
WHERE seq IN (SELECT seq FROM deliveries WHERE state = :state AND settled_at < :before ORDER BY settled_at LIMIT :limit)
RETURNING endpoint, state, seq;

-- name: forget_bodies
DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: forget_spots
DELETE FROM spots WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: forget_epochs
-- Of these, whichever has no delivery any more.
DELETE FROM epochs
WHERE epoch IN (SELECT value FROM json_each(:epochs))
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE seq >= epoch * :size AND seq < (epoch + 1) * :size);

-- name: keep_epoch
INSERT INTO epochs (epoch, first_id, last_id) VALUES (:epoch, :first_id, :last_id)
ON CONFLICT (epoch) DO UPDATE
SET first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id);

-- name: spotted
-- {what} of deliveries whose {column} is of a text with this checksum. From epoch to epoch, in this order.
SELECT {what} FROM epochs
CROSS JOIN spots ON {column} = (epoch << 32) | :checksum
CROSS JOIN deliveries ON deliveries.seq = spots.seq
WHERE TRUE;

-- name: forget_marks
DELETE FROM marks WHERE at < :before;

-- name: scans
SELECT collection, names, after, rows, done FROM scans ORDER BY collection;

-- name: scan_of
SELECT generation, names FROM scans WHERE collection = :collection;

-- name: begin_scan
INSERT INTO scans (collection, names) VALUES (:collection, :names) ON CONFLICT (collection) DO NOTHING;

-- name: keep_scan
UPDATE scans SET after = :after, rows = :rows, done = :done WHERE collection = :collection;

-- name: end_scan
DELETE FROM scans WHERE collection = :collection;

-- name: recall_rows
SELECT id, exact_after, fields FROM memory
WHERE generation = :generation AND id IN (SELECT value FROM json_each(:ids));

-- name: told
SELECT row, max(at), max(state = 'held') FROM deliveries
WHERE row IN (SELECT value FROM json_each(:rows)) GROUP BY row;

-- name: remembered
SELECT id, exact_after, fields FROM memory
WHERE generation = :generation AND id > :after ORDER BY id LIMIT :limit;

-- name: backfill
SELECT state FROM backfills WHERE name = :name;

-- name: unfinished_backfills
SELECT name, state FROM backfills WHERE NOT json_extract(state, '$.done') ORDER BY name;

-- name: keep_backfill
INSERT INTO backfills (name, state) VALUES (:name, :state)
ON CONFLICT (name) DO UPDATE SET state = excluded.state;

-- name: learn
INSERT INTO memory (generation, id, exact_after, fields) VALUES (?, ?, ?, ?)
ON CONFLICT (generation, id) DO UPDATE SET exact_after = excluded.exact_after, fields = excluded.fields;

-- name: remember
INSERT INTO memory (generation, id, exact_after, fields) VALUES (?, ?, ?, ?)
ON CONFLICT (generation, id) DO NOTHING;

-- name: unlearn
DELETE FROM memory WHERE generation = :generation AND id IN (SELECT value FROM json_each(:ids));

-- name: forget_rows
DELETE FROM memory WHERE (generation, id) IN (
    -- From one generation to the next by the key. To look at each row instead would read all that is
    -- remembered, every minute, while commits wait: half a second for a million rows.
    WITH RECURSIVE found (generation) AS (
        SELECT min(generation) FROM memory
        UNION ALL
        SELECT (SELECT min(generation) FROM memory WHERE generation > found.generation)
        FROM found WHERE generation IS NOT NULL
    )
    SELECT memory.generation, memory.id
    FROM found CROSS JOIN memory ON memory.generation = found.generation
    WHERE found.generation NOT IN (SELECT generation FROM scans) LIMIT :limit
);

-- name: standings
SELECT endpoint, state, reason, since, until FROM standings;

-- name: keep_standing
INSERT INTO standings (endpoint, state, reason, since, until)
VALUES (:endpoint, :state, :reason, :since, :until)
ON CONFLICT (endpoint) DO UPDATE
SET state = excluded.state, reason = excluded.reason, since = excluded.since, until = excluded.until;

-- name: forget_standing
DELETE FROM standings WHERE endpoint = :endpoint;

-- name: revision
SELECT coalesce(max(number), 0) FROM revision;

-- name: next_revision
INSERT INTO revision (one, number) VALUES (1, 1)
ON CONFLICT (one) DO UPDATE SET number = revision.number + 1 RETURNING number;

-- name: registered
SELECT name, revision, created_at, changed_at, sealed FROM registered ORDER BY number;

-- name: revision_of
SELECT revision FROM registered WHERE key = :key;

-- name: register
INSERT INTO registered (key, number, name, revision, created_at, changed_at, sealed)
VALUES (:key, :revision, :name, :revision, :created_at, :changed_at, :sealed)
ON CONFLICT (key) DO UPDATE
SET name = excluded.name, revision = excluded.revision, changed_at = excluded.changed_at,
    sealed = excluded.sealed;

-- name: deregister
DELETE FROM registered WHERE key = :key;

-- name: note
INSERT INTO audit (at, act, subject, way, address, forwarded, details)
VALUES (:at, :act, :subject, :way, :address, :forwarded, :details) RETURNING number;

-- name: forget_audit
DELETE FROM audit WHERE number <= :last;

-- name: audit
SELECT number, at, act, subject, way, address, forwarded, details FROM audit
WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: durations
SELECT durations FROM figures WHERE endpoint = :endpoint AND hour = :hour AND event = :event;

-- name: tally
INSERT INTO figures (endpoint, hour, event, delivered, failed, durations)
VALUES (:endpoint, :hour, :event, :delivered, :failed, :durations)
ON CONFLICT (endpoint, hour, event) DO UPDATE
SET delivered = delivered + excluded.delivered, failed = failed + excluded.failed,
    durations = excluded.durations;

-- name: figures
SELECT endpoint, hour, event, delivered, failed, durations FROM figures
WHERE hour >= :since AND hour < :until ORDER BY hour, endpoint, event;

-- name: figures_of
SELECT endpoint, hour, event, delivered, failed, durations FROM figures
WHERE endpoint = :endpoint AND hour >= :since AND hour < :until ORDER BY hour, event;

-- name: forget_figures
DELETE FROM figures WHERE (endpoint, hour, event) IN (
    SELECT endpoint, hour, event FROM figures WHERE hour < :before ORDER BY hour LIMIT :limit
);
