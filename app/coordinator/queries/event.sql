-- name: add_event!
INSERT INTO event (at, item, kind, agent, team, data) VALUES (now_ms(), :item, :kind, :agent, :team, :data);

-- name: list_history
-- Numbers are drawn while the item is held: of one item they are in order.
SELECT * FROM event WHERE item = :item ORDER BY seq;

-- name: read_events
-- In order and without a gap: no further than the oldest transaction that is still open.
SELECT * FROM event
WHERE (tx > CAST(:tx AS BIGINT) OR (tx = CAST(:tx AS BIGINT) AND seq > CAST(:seq AS BIGINT))) AND tx < settled_before()
ORDER BY tx, seq LIMIT :count;

-- name: last_event^
SELECT tx, seq FROM event WHERE tx < settled_before() ORDER BY tx DESC, seq DESC LIMIT 1;

-- name: list_events
-- The newest first.
SELECT * FROM event
WHERE (CAST(:kind AS TEXT) IS NULL OR kind = :kind) AND (CAST(:agent AS TEXT) IS NULL OR agent = :agent)
ORDER BY seq DESC LIMIT :count;

-- name: delete_agent_events!
-- Events of work items go with their items.
DELETE FROM event WHERE item IS NULL AND at < now_ms() - CAST(:age_ms AS BIGINT);

-- name: find_event$
SELECT seq FROM event WHERE tx = CAST(:tx AS BIGINT) AND seq = CAST(:seq AS BIGINT);

-- name: forget_transactions!
-- Of a store that was restored: its transactions were another cluster's.
UPDATE event SET tx = 0;
