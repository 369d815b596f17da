-- name: keep_key$
-- The first to come gets the key; whoever comes second waits for the first to commit, and gets nothing.
INSERT INTO idempotency (key, request, created_at) VALUES (:key, :request, now_ms())
ON CONFLICT (key) DO NOTHING RETURNING key;

-- name: get_answer^
SELECT request, answer FROM idempotency WHERE key = :key;

-- name: keep_answer!
UPDATE idempotency SET answer = :answer WHERE key = :key;

-- name: drop_key!
-- What was refused has changed nothing, and may be asked again.
DELETE FROM idempotency WHERE key = :key;

-- name: delete_keys
DELETE FROM idempotency WHERE key IN (
    SELECT key FROM idempotency WHERE created_at < now_ms() - CAST(:age_ms AS BIGINT) ORDER BY created_at LIMIT 5000
) RETURNING key;

-- name: add_token!
INSERT INTO api_token (id, name, role, agent, digest, created_at)
VALUES (:id, :name, :role, :agent, :digest, now_ms());

-- name: get_token^
SELECT * FROM api_token WHERE id = :id AND revoked_at IS NULL;

-- name: list_tokens
SELECT id, name, role, agent, created_at, revoked_at FROM api_token ORDER BY id;

-- name: revoke_token$
UPDATE api_token SET revoked_at = now_ms() WHERE id = :id AND revoked_at IS NULL RETURNING id;
