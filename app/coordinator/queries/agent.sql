-- name: put_agent^
INSERT INTO agent (id, name, team, skills, capacity, status, ttl_ms, registered_at, last_seen_at)
VALUES (:id, :name, :team, :skills, :capacity, 'active', :ttl_ms, now_ms(), now_ms())
ON CONFLICT (name) DO UPDATE
SET team = excluded.team, skills = excluded.skills, capacity = excluded.capacity, ttl_ms = excluded.ttl_ms,
    status = 'active', last_seen_at = now_ms()
RETURNING *, (SELECT count(*) FROM work_item WHERE agent = :name AND status = 'claimed') AS claimed;

-- name: see_agent!
-- Who claims exists: known from its first claim, and written at most once a second.
INSERT INTO agent (id, name, skills, status, registered_at, last_seen_at)
VALUES (:id, :name, '[]', 'active', now_ms(), now_ms())
ON CONFLICT (name) DO UPDATE
SET last_seen_at = now_ms(), status = CASE WHEN agent.status = 'offline' THEN 'active' ELSE agent.status END
WHERE agent.last_seen_at < now_ms() - 1000 OR agent.last_seen_at > now_ms();

-- name: hold_agents
-- Held until the end of the transaction, so that two claims of one agent cannot both fit its capacity.
SELECT name, capacity, status FROM agent
WHERE name IN (SELECT value FROM json_each(CAST(:names AS TEXT))) AND (capacity IS NOT NULL OR status = 'draining')
ORDER BY name /*wait*/;

-- name: count_held
SELECT agent, count(*) AS items FROM work_item
WHERE status = 'claimed' AND agent IN (SELECT value FROM json_each(CAST(:names AS TEXT))) GROUP BY agent;

-- name: get_agent^
SELECT agent.*, (SELECT count(*) FROM work_item WHERE work_item.agent = agent.name AND work_item.status = 'claimed') AS claimed
FROM agent WHERE name = :name;

-- name: list_agents
SELECT agent.*, count(work_item.id) AS claimed
FROM agent LEFT JOIN work_item ON work_item.agent = agent.name AND work_item.status = 'claimed'
GROUP BY agent.id ORDER BY agent.name;

-- name: renew_agent^
UPDATE agent SET last_seen_at = now_ms(), status = CASE WHEN status = 'offline' THEN 'active' ELSE status END
WHERE name = :name
RETURNING *, (SELECT count(*) FROM work_item WHERE agent = :name AND status = 'claimed') AS claimed;

-- name: set_agent_status^
UPDATE agent SET status = :status WHERE name = :name
RETURNING *, (SELECT count(*) FROM work_item WHERE agent = :name AND status = 'claimed') AS claimed;

-- name: miss_agents
-- Those that registered how often they renew, and did not.
WITH missed AS MATERIALIZED (
    SELECT name FROM agent WHERE status <> 'offline' AND ttl_ms IS NOT NULL AND last_seen_at + ttl_ms <= now_ms()
    ORDER BY name LIMIT 100 /*lock*/
)
UPDATE agent SET status = 'offline' WHERE name IN (SELECT name FROM missed) RETURNING name, team;

-- name: delete_agent$
DELETE FROM agent WHERE name = :name RETURNING name;
