-- name: add_webhook^
INSERT INTO webhook (id, url, kinds, tx, seq, retry_at, created_at)
VALUES (:id, :url, :kinds, CAST(:tx AS BIGINT), CAST(:seq AS BIGINT), now_ms(), now_ms())
ON CONFLICT (id) DO NOTHING RETURNING *;

-- name: get_webhook^
SELECT * FROM webhook WHERE id = :id;

-- name: list_webhooks
SELECT * FROM webhook ORDER BY id;

-- name: list_due_webhooks
SELECT * FROM webhook WHERE failures < CAST(:failures AS BIGINT) AND retry_at <= now_ms() ORDER BY id;

-- name: remove_webhook$
DELETE FROM webhook WHERE id = :id RETURNING id;

-- name: advance_webhook!
UPDATE webhook SET tx = CAST(:tx AS BIGINT), seq = CAST(:seq AS BIGINT), failures = 0, reason = NULL WHERE id = :id;

-- name: forget_webhook_transactions!
-- Before the events' own are: what was not told yet may have smaller numbers than what was. It is told, and some again.
UPDATE webhook SET tx = 0, seq = COALESCE(
    (SELECT min(event.seq) - 1 FROM event
     WHERE event.tx > webhook.tx OR (event.tx = webhook.tx AND event.seq > webhook.seq)),
    (SELECT max(event.seq) FROM event), seq);

-- name: fail_webhook!
UPDATE webhook SET failures = failures + 1, reason = :reason, retry_at = now_ms() + CAST(:pause_ms AS BIGINT)
WHERE id = :id;

-- name: retry_webhook$
UPDATE webhook SET failures = 0, retry_at = now_ms() WHERE id = :id RETURNING id;
