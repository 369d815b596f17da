-- name: list_open
-- What is not finished, the most urgent first, and how many items wait for each.
SELECT work_item.id AS id, title, type, priority, team, skills, points, status, agent, rank,
       now_ms() - ready_at AS waited_ms,
       (SELECT count(*) FROM dependency WHERE needs = work_item.id) AS holds_up
FROM work_item WHERE status IN ('ready', 'claimed', 'blocked') ORDER BY rank LIMIT :count;
