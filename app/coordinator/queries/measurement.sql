-- name: add_measurement!
INSERT INTO measurement (at, replica, requests, errors, p95_ms, oldest_ready_ms)
SELECT now_ms(), :replica, CAST(:requests AS BIGINT), CAST(:errors AS BIGINT), CAST(:p95_ms AS DOUBLE PRECISION),
       COALESCE((SELECT max(now_ms() - ready_at) FROM work_item WHERE status = 'ready' AND ready_at <= now_ms()), 0);

-- name: sum_measurements^
SELECT COALESCE(sum(requests), 0) AS requests, COALESCE(sum(errors), 0) AS errors, COALESCE(max(p95_ms), 0) AS p95_ms
FROM measurement WHERE at >= now_ms() - CAST(:age_ms AS BIGINT);

-- name: count_replicas$
SELECT count(DISTINCT replica) FROM measurement WHERE at >= now_ms() - CAST(:age_ms AS BIGINT);

-- name: list_measurements
-- One row a span of time, the oldest first.
SELECT at / CAST(:span_ms AS BIGINT) AS span, sum(requests) AS requests, sum(errors) AS errors, max(p95_ms) AS p95_ms,
       max(oldest_ready_ms) AS oldest_ready_ms
FROM measurement WHERE at >= now_ms() - CAST(:age_ms AS BIGINT)
GROUP BY at / CAST(:span_ms AS BIGINT) ORDER BY span;

-- name: count_throughput
SELECT at / CAST(:span_ms AS BIGINT) AS span, kind, count(*) AS events FROM event
WHERE at >= now_ms() - CAST(:age_ms AS BIGINT) AND kind IN ('submitted', 'claimed', 'completed')
GROUP BY at / CAST(:span_ms AS BIGINT), kind;

-- name: now$
SELECT now_ms();

-- name: delete_measurements!
DELETE FROM measurement WHERE at < now_ms() - CAST(:age_ms AS BIGINT);
