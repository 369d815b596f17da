-- name: set_colour!
INSERT INTO release (id, colour) VALUES (1, :colour) ON CONFLICT (id) DO UPDATE SET colour = excluded.colour;

-- name: active_colour$
SELECT colour FROM release;
