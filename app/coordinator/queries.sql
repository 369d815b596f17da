-- One text for both stores. What SQL has no common word for is a function of each: now_ms() is the
-- store's clock, has_skills(required, offered) compares two JSON lists. /*lock*/ becomes FOR UPDATE
-- SKIP LOCKED where rows can be locked. Times are milliseconds since 1970.

-- name: now$
SELECT now_ms();

-- name: schema_version$
SELECT version_num FROM alembic_version;

-- name: add_item^
INSERT INTO work_item (id, type, title, description, priority, rank, team, labels, skills, points, payload,
                       status, max_attempts, created_at, ready_at)
VALUES (:id, :type, :title, :description, :priority, now_ms() - CAST(:head_start AS BIGINT), :team, :labels, :skills,
        :points, :payload, 'ready', :max_attempts, now_ms(), now_ms())
RETURNING *;

-- name: get_item^
SELECT * FROM work_item WHERE id = :id;

-- name: list_items
SELECT * FROM work_item
WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)
  AND (CAST(:team AS TEXT) IS NULL OR team = :team)
  AND (CAST(:type AS TEXT) IS NULL OR type = :type)
  AND (CAST(:agent AS TEXT) IS NULL OR agent = :agent)
  AND (CAST(:before AS TEXT) IS NULL OR id < :before)
ORDER BY id DESC
LIMIT :count;

-- name: expire_leases
-- Takes back what was not renewed in time: ready again, or failed once its attempts are used up.
WITH expired AS MATERIALIZED (
    SELECT id FROM work_item WHERE status = 'claimed' AND lease_expires_at <= now_ms()
    ORDER BY lease_expires_at LIMIT 100 /*lock*/
)
UPDATE work_item
SET status = CASE WHEN attempt < max_attempts THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now_ms() END,
    reason = 'lease expired', agent = NULL, lease_expires_at = NULL, ready_at = now_ms()
WHERE id IN (SELECT id FROM expired)
RETURNING *;

-- name: claim_items
-- Picked and taken in one statement: a row that another claim has locked is passed over, never waited for.
WITH picked AS MATERIALIZED (
    SELECT id FROM work_item
    WHERE status = 'ready' AND ready_at <= now_ms()
      AND (CAST(:id AS TEXT) IS NULL OR id = :id)
      AND (CAST(:team AS TEXT) IS NULL OR team = :team)
      AND (CAST(:type AS TEXT) IS NULL OR type = :type)
      AND (CAST(:skills AS TEXT) IS NULL OR has_skills(skills, CAST(:skills AS TEXT)))
    ORDER BY rank LIMIT CAST(:count AS BIGINT) /*lock*/
)
UPDATE work_item
SET status = 'claimed', agent = :agent, token = token + 1, attempt = attempt + 1, progress = 0,
    claimed_at = now_ms(), lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT)
WHERE id IN (SELECT id FROM picked)
RETURNING *;

-- name: renew_lease^
UPDATE work_item
SET lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT), progress = COALESCE(CAST(:progress AS BIGINT), progress)
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
RETURNING *;

-- name: complete_item^
UPDATE work_item
SET status = 'completed', result = :result, progress = 100, finished_at = now_ms(), lease_expires_at = NULL
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
RETURNING *;

-- name: fail_item^
-- A retryable failure waits 1, 2, 4 … seconds, at most five minutes, before it is ready again.
UPDATE work_item
SET status = CASE WHEN CAST(:retryable AS BIGINT) = 1 AND attempt < max_attempts THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN CAST(:retryable AS BIGINT) = 1 AND attempt < max_attempts THEN NULL ELSE now_ms() END,
    ready_at = now_ms() + CASE WHEN attempt > 9 THEN 300000 ELSE 1000 * (1 << (CAST(attempt AS INTEGER) - 1)) END,
    reason = :reason, agent = NULL, lease_expires_at = NULL
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
RETURNING *;

-- name: release_item^
-- Given back untried: the attempt does not count.
UPDATE work_item
SET status = 'ready', attempt = attempt - 1, agent = NULL, lease_expires_at = NULL, ready_at = now_ms(), progress = 0
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
RETURNING *;

-- name: add_event!
INSERT INTO event (at, item, kind, agent, token) VALUES (now_ms(), :item, :kind, :agent, :token);

-- name: list_events
SELECT * FROM event WHERE item = :item ORDER BY seq;

-- name: put_agent^
INSERT INTO agent (id, name, team, skills, capacity, registered_at, last_seen_at)
VALUES (:id, :name, :team, :skills, :capacity, now_ms(), now_ms())
ON CONFLICT (name) DO UPDATE
SET team = excluded.team, skills = excluded.skills, capacity = excluded.capacity, last_seen_at = now_ms()
RETURNING *, (SELECT count(*) FROM work_item WHERE agent = :name AND status = 'claimed') AS claimed;

-- name: see_agent!
-- Who claims exists: known from its first claim, and written at most once a second.
INSERT INTO agent (id, name, skills, capacity, registered_at, last_seen_at)
VALUES (:id, :name, '[]', 1, now_ms(), now_ms())
ON CONFLICT (name) DO UPDATE SET last_seen_at = now_ms() WHERE agent.last_seen_at < now_ms() - 1000;

-- name: list_agents
SELECT agent.*, count(work_item.id) AS claimed
FROM agent LEFT JOIN work_item ON work_item.agent = agent.name AND work_item.status = 'claimed'
GROUP BY agent.id ORDER BY agent.name;

-- name: count_items
SELECT status, count(*) AS items FROM work_item GROUP BY status;

-- name: keep_key$
-- The first to come gets the key; whoever comes second waits for the first to commit, and gets nothing.
INSERT INTO idempotency (key, request, created_at) VALUES (:key, :request, now_ms())
ON CONFLICT (key) DO NOTHING RETURNING key;

-- name: get_answer^
SELECT request, answer FROM idempotency WHERE key = :key;

-- name: keep_answer!
UPDATE idempotency SET answer = :answer WHERE key = :key;
