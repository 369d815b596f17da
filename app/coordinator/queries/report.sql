-- name: count_by_team
SELECT team, status, count(*) AS items, sum(points) AS points FROM work_item GROUP BY team, status;

-- name: count_by_parent
SELECT parent.id AS id, parent.title AS title, parent.status AS parent_status, child.status AS status, count(*) AS items
FROM work_item AS child JOIN work_item AS parent ON parent.id = child.parent
GROUP BY parent.id, parent.title, parent.status, child.status ORDER BY parent.id;

-- name: list_blockers
SELECT waiting.id AS item, waiting.title AS title, waiting.team AS team, needed.id AS needs,
       needed.title AS needs_title, needed.team AS needs_team, needed.status AS needs_status
FROM work_item AS waiting
JOIN dependency ON dependency.item = waiting.id
JOIN work_item AS needed ON needed.id = dependency.needs
WHERE waiting.status = 'blocked' AND needed.status <> 'completed'
ORDER BY waiting.id, needed.id LIMIT 500;

-- name: sum_capacity
SELECT team, count(*) AS agents, sum(COALESCE(capacity, 1)) AS capacity,
       sum((SELECT count(*) FROM work_item WHERE work_item.agent = agent.name AND work_item.status = 'claimed')) AS held
FROM agent WHERE status = 'active' GROUP BY team;

-- name: list_delivered
SELECT * FROM work_item WHERE status = 'completed' AND finished_at >= now_ms() - CAST(:age_ms AS BIGINT)
ORDER BY finished_at DESC LIMIT 1000;

-- name: sum_delivered
SELECT team, sum(points) AS points FROM work_item
WHERE status = 'completed' AND finished_at >= now_ms() - CAST(:age_ms AS BIGINT) GROUP BY team;

-- name: list_lead_times
-- The newest first; more than that many say nothing new of a percentile.
SELECT finished_at - created_at AS lead_ms FROM work_item
WHERE status = 'completed' AND finished_at >= now_ms() - CAST(:from_ms AS BIGINT)
  AND finished_at < now_ms() - CAST(:to_ms AS BIGINT)
ORDER BY finished_at DESC LIMIT 10000;

-- name: count_kinds
SELECT kind, count(*) AS events FROM event
WHERE at >= now_ms() - CAST(:from_ms AS BIGINT) AND at < now_ms() - CAST(:to_ms AS BIGINT) GROUP BY kind;

-- name: count_kinds_by_team
SELECT team, kind, count(*) AS events FROM event
WHERE at >= now_ms() - CAST(:from_ms AS BIGINT) AND item IS NOT NULL GROUP BY team, kind;

-- name: count_reasons
SELECT reason, count(*) AS items FROM work_item
WHERE status = 'failed' AND finished_at >= now_ms() - CAST(:age_ms AS BIGINT)
GROUP BY reason ORDER BY count(*) DESC LIMIT 20;

-- name: list_changes
-- How each finished item came through its states, in order.
SELECT event.item AS item, event.at AS at, event.data AS data FROM event
JOIN work_item ON work_item.id = event.item
WHERE work_item.finished_at >= now_ms() - CAST(:age_ms AS BIGINT)
ORDER BY event.item, event.seq LIMIT 100000;

-- name: oldest_ready_ms$
SELECT COALESCE(max(now_ms() - ready_at), 0) FROM work_item WHERE status = 'ready' AND ready_at <= now_ms();

-- name: count_agents
SELECT status, count(*) AS agents FROM agent GROUP BY status;
