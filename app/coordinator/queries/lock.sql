-- name: take_lock^
-- A lock is free when nobody has it, or its lease has ended; its token only grows, also over those who come after.
-- It begins at the clock: a store that was restored knows nothing of locks first taken after the backup.
INSERT INTO named_lock (name, token, agent, lease_expires_at)
VALUES (:name, now_ms(), :agent, now_ms() + CAST(:lease_ms AS BIGINT))
ON CONFLICT (name) DO UPDATE
SET token = named_lock.token + 1, agent = excluded.agent, lease_expires_at = excluded.lease_expires_at
WHERE named_lock.agent IS NULL OR named_lock.lease_expires_at <= now_ms()
RETURNING *;

-- name: renew_lock^
UPDATE named_lock SET lease_expires_at = now_ms() + CAST(:lease_ms AS BIGINT)
WHERE name = :name AND token = :token AND agent IS NOT NULL AND lease_expires_at > now_ms()
RETURNING *;

-- name: free_lock^
UPDATE named_lock SET agent = NULL, lease_expires_at = NULL
WHERE name = :name AND token = :token AND agent IS NOT NULL AND lease_expires_at > now_ms()
RETURNING *;

-- name: get_lock^
SELECT * FROM named_lock WHERE name = :name;

-- name: list_locks
SELECT * FROM named_lock WHERE agent IS NOT NULL AND lease_expires_at > now_ms() ORDER BY name;

-- name: raise_lock_tokens!
UPDATE named_lock SET token = CASE WHEN token < now_ms() THEN now_ms() ELSE token + 1000000 END;
