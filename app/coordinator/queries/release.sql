-- name: see_colour!
INSERT INTO colour (name, seen_at) VALUES (:name, now_ms())
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at;

-- name: choose_colour!
UPDATE colour SET chosen = CASE WHEN name = :name THEN 1 ELSE 0 END;

-- name: forget_colours!
DELETE FROM colour;

-- name: list_colours
-- Each colour that ever ran here, how long ago it was last seen, and whether it is the one that was chosen.
SELECT name, now_ms() - seen_at AS age_ms, chosen FROM colour;
