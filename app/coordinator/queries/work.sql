-- One text for both stores. What SQL has no common word for is a function of each: now_ms() is the store's
-- clock, has_skills(required, offered) compares two JSON lists, json_each(list) has a row a value. /*lock*/
-- becomes FOR UPDATE SKIP LOCKED and /*wait*/ FOR UPDATE where rows can be locked.
-- Times are milliseconds since 1970. A clock may be set back: what is ready, or a lease's end, further away than is
-- ever asked for (a pause of 300,000 ms, a lease of 3,600,000) was written by the clock as it was, and counts as past.

-- name: schema_version$
SELECT version_num FROM alembic_version;

-- name: add_item^
INSERT INTO work_item (id, type, title, description, priority, rank, team, labels, skills, points, payload,
                       status, max_attempts, trace_id, created_at, ready_at)
VALUES (:id, :type, :title, :description, :priority, now_ms() - CAST(:head_start AS BIGINT), :team, :labels,
        :skills, :points, :payload, :status, :max_attempts, :trace_id, now_ms(), now_ms())
RETURNING *;

-- name: set_parent!
UPDATE work_item SET parent = :parent WHERE id = :id;

-- name: get_item^
SELECT * FROM work_item WHERE id = :id;

-- name: get_holder
-- Who may renew this: its token is the current one. Anybody else's asking says nothing of the holder.
SELECT agent AS name FROM work_item
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
  AND (CAST(:speaker AS TEXT) IS NULL OR agent = :speaker);

-- name: list_items
SELECT * FROM work_item
WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)
  AND (CAST(:team AS TEXT) IS NULL OR team = :team)
  AND (CAST(:type AS TEXT) IS NULL OR type = :type)
  AND (CAST(:agent AS TEXT) IS NULL OR agent = :agent)
  AND (CAST(:priority AS TEXT) IS NULL OR priority = :priority)
  AND (CAST(:parent AS TEXT) IS NULL OR parent = :parent)
  AND (CAST(:label AS TEXT) IS NULL OR CAST(:label AS TEXT) IN (SELECT value FROM json_each(labels)))
  AND (CAST(:before AS TEXT) IS NULL OR id < :before)
ORDER BY id DESC
LIMIT :count;

-- name: list_ready
-- What somebody who waits for work could have now, the most urgent first.
SELECT id, team, type, skills FROM work_item WHERE status = 'ready' AND (ready_at <= now_ms() OR ready_at > now_ms() + 300000) ORDER BY rank LIMIT :count;

-- name: expire_leases
-- Takes back what was not renewed in time: ready again, or failed once its attempts are used up.
WITH expired AS MATERIALIZED (
    SELECT id, agent FROM work_item WHERE status = 'claimed' AND (lease_expires_at <= now_ms() OR lease_expires_at > now_ms() + 3600000)
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
    WHERE status = 'ready' AND (ready_at <= now_ms() OR ready_at > now_ms() + 300000)
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

-- name: claim_item^
UPDATE work_item
SET status = 'claimed', agent = :agent, token = token + 1, attempt = attempt + 1, progress = 0,
    claimed_at = now_ms(), lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT)
WHERE id = :id AND status = 'ready' AND (ready_at <= now_ms() OR ready_at > now_ms() + 300000)
RETURNING *;

-- name: renew_lease^
UPDATE work_item
SET lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT), progress = COALESCE(CAST(:progress AS BIGINT), progress)
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
  AND (CAST(:speaker AS TEXT) IS NULL OR agent = :speaker)
RETURNING *;

-- name: complete_item^
UPDATE work_item
SET status = 'completed', result = :result, progress = 100, points = COALESCE(CAST(:points AS BIGINT), points),
    finished_at = now_ms(), lease_expires_at = NULL
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
  AND (CAST(:speaker AS TEXT) IS NULL OR agent = :speaker)
RETURNING *;

-- name: fail_item^
-- A retryable failure waits 1, 2, 4 … seconds, at most five minutes, before it is ready again.
UPDATE work_item
SET status = CASE WHEN CAST(:retryable AS BIGINT) = 1 AND attempt < max_attempts THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN CAST(:retryable AS BIGINT) = 1 AND attempt < max_attempts THEN NULL ELSE now_ms() END,
    ready_at = now_ms() + CASE WHEN attempt > 9 THEN 300000 ELSE 1000 * (1 << (CAST(attempt AS INTEGER) - 1)) END,
    reason = :reason, agent = NULL, lease_expires_at = NULL
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
  AND (CAST(:speaker AS TEXT) IS NULL OR agent = :speaker)
RETURNING *;

-- name: release_item^
-- Given back untried: the attempt does not count.
UPDATE work_item
SET status = 'ready', attempt = attempt - 1, agent = NULL, lease_expires_at = NULL, ready_at = now_ms(), progress = 0
WHERE id = :id AND token = :token AND status = 'claimed' AND lease_expires_at > now_ms()
  AND (CAST(:speaker AS TEXT) IS NULL OR agent = :speaker)
RETURNING *;

-- name: cancel_item^
UPDATE work_item
SET status = 'cancelled', reason = :reason, agent = NULL, lease_expires_at = NULL, finished_at = now_ms()
WHERE id = :id AND status IN ('blocked', 'ready', 'claimed')
RETURNING *;

-- name: retry_item^
UPDATE work_item
SET status = 'ready', attempt = 0, agent = NULL, finished_at = NULL, ready_at = now_ms(), progress = 0
WHERE id = :id AND status IN ('failed', 'cancelled')
  AND NOT EXISTS (SELECT 1 FROM dependency JOIN work_item AS needed ON needed.id = dependency.needs
                  WHERE dependency.item = work_item.id AND needed.status <> 'completed')
RETURNING *;

-- name: reassign_item^
-- An operator's word: the item is another agent's from now on, and the old token is worth nothing.
UPDATE work_item
SET status = 'claimed', agent = :agent, token = token + 1, claimed_at = now_ms(),
    attempt = CASE WHEN status = 'claimed' THEN attempt ELSE attempt + 1 END,
    lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT)
WHERE id = :id AND status IN ('ready', 'claimed')
RETURNING *;

-- name: return_items
-- What an agent held when it went away: ready again at once, or failed once its attempts are used up.
UPDATE work_item
SET status = CASE WHEN attempt < max_attempts THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now_ms() END,
    reason = :reason, agent = NULL, lease_expires_at = NULL, ready_at = now_ms()
WHERE status = 'claimed' AND agent = :agent
RETURNING *;

-- name: hold_needs
-- Held until the end of the transaction: what is needed cannot be completed between a look and a note of it.
SELECT id, status FROM work_item WHERE id IN (SELECT value FROM json_each(CAST(:ids AS TEXT))) ORDER BY id /*wait*/;

-- name: add_need!
INSERT INTO dependency (item, needs) VALUES (:item, :needs) ON CONFLICT DO NOTHING;

-- name: hold_graph$
-- One change of the graph at a time: two halves of a cycle must not be added side by side.
SELECT hold_graph();

-- name: find_cycle$
-- Does `needs` already wait, over however many others, for `item`?
WITH RECURSIVE waits (id) AS (
    SELECT CAST(:needs AS TEXT)
    UNION
    SELECT dependency.needs FROM dependency JOIN waits ON dependency.item = waits.id
)
SELECT id FROM waits WHERE id = :item;

-- name: block_item^
UPDATE work_item SET status = 'blocked' WHERE id = :id AND status IN ('ready', 'blocked') RETURNING *;

-- name: list_waiting
SELECT DISTINCT item FROM dependency WHERE needs IN (SELECT value FROM json_each(CAST(:needs AS TEXT)));

-- name: hold_waiting
-- Those that wait for an item, held one after another: of two last needs that end at once, the second sees the first.
SELECT id FROM work_item
WHERE status = 'blocked' AND id IN (SELECT value FROM json_each(CAST(:ids AS TEXT)))
ORDER BY id /*wait*/;

-- name: unblock_items
UPDATE work_item
SET status = 'ready', ready_at = now_ms()
WHERE status = 'blocked' AND id IN (SELECT value FROM json_each(CAST(:ids AS TEXT)))
  AND NOT EXISTS (SELECT 1 FROM dependency JOIN work_item AS needed ON needed.id = dependency.needs
                  WHERE dependency.item = work_item.id AND needed.status <> 'completed')
RETURNING *;

-- name: count_items
SELECT status, count(*) AS items FROM work_item GROUP BY status;

-- name: delete_finished
-- What failed stays as long as anything waits for it: it may be tried again.
WITH gone AS MATERIALIZED (
    SELECT id FROM work_item
    WHERE finished_at < now_ms() - CAST(:age_ms AS BIGINT)
      AND (status = 'completed' OR NOT EXISTS (
          SELECT 1 FROM dependency JOIN work_item AS waiting ON waiting.id = dependency.item
          WHERE dependency.needs = work_item.id AND waiting.status = 'blocked'))
    ORDER BY finished_at LIMIT 1000 /*lock*/
)
DELETE FROM work_item WHERE id IN (SELECT id FROM gone) RETURNING id;

-- name: raise_item_tokens!
-- Larger than before also where the clock is not.
UPDATE work_item SET token = CASE WHEN token < now_ms() THEN now_ms() ELSE token + 1000000 END;
