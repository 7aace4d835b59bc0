-- Retention: what may go, and how it goes.

-- name: walk_jobs
-- The next jobs in the order of acceptance; never the newest.
SELECT number, id, sequence, queue, type, status, finished_at, created_at FROM observatory.jobs
WHERE number > %(after)s AND number < (SELECT max(number) FROM observatory.jobs) ORDER BY number LIMIT %(limit)s;

-- name: whole_streams
SELECT e.commit_id, e.place, p.last - p.events + 1 + e.place AS position, e.stream, e.time, e.body
FROM observatory.events AS e LEFT JOIN observatory.placed AS p ON p.commit_id = e.commit_id
WHERE e.stream = ANY (%(streams)s);

-- name: walk_events
SELECT e.commit_id, e.place, p.last - p.events + 1 + e.place AS position, e.stream, e.time, e.type
FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
WHERE p.last > %(after)s AND p.last - p.events + 1 + e.place > %(after)s AND p.last <= %(safe)s
ORDER BY p.last, e.place LIMIT %(limit)s;

-- name: last_told
-- The sequence of each stream's last event of each of these types.
SELECT stream, type, max(sequence) FROM observatory.events
WHERE stream = ANY (%(streams)s) AND type = ANY (%(types)s) GROUP BY stream, type;

-- name: events_at
SELECT e.commit_id, e.place, p.last - p.events + 1 + e.place AS position, e.stream, e.time, e.body
FROM json_to_recordset(%(places)s::json) AS r(commit_id bigint, place integer)
    JOIN observatory.events AS e ON e.commit_id = r.commit_id AND e.place = r.place
    JOIN observatory.placed AS p ON p.commit_id = e.commit_id;

-- name: walk_keys
-- Keys whose job is gone and that are older than a day are over.
SELECT key, job_id, created_at < %(before)s AND NOT EXISTS (SELECT 1 FROM observatory.jobs WHERE jobs.id = idempotency.job_id)
FROM observatory.idempotency WHERE key > %(after)s ORDER BY key LIMIT %(limit)s;

-- name: drop_keys
-- Not one that a new job has taken.
DELETE FROM observatory.idempotency AS i USING json_to_recordset(%(rows)s::json) AS r(key text, job_id uuid)
WHERE i.key = r.key AND i.job_id = r.job_id;

-- name: try_retention
-- One drop at a time; whoever sets a cursor back waits for the one that is under way.
SELECT pg_try_advisory_xact_lock(7041958, 9);

-- name: lock_retention
SELECT pg_advisory_xact_lock(7041958, 9);

-- name: set_back
INSERT INTO observatory.cursors AS c (name, position) VALUES (%(name)s, %(position)s)
ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE c.position > excluded.position;

-- name: lock_sequences
SELECT id, sequence FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR UPDATE;

-- name: count_events
SELECT count(*) FROM json_to_recordset(%(places)s::json) AS r(commit_id bigint, place integer)
    JOIN observatory.events AS e ON e.commit_id = r.commit_id AND e.place = r.place;

-- name: remember_gone
INSERT INTO observatory.gone (job_id, status, finished_at)
SELECT job_id, status, finished_at FROM json_to_recordset(%(rows)s::json) AS r(job_id uuid, status text, finished_at bigint)
ON CONFLICT (job_id) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at;

-- name: forget_gone
DELETE FROM observatory.gone WHERE finished_at < %(before)s;

-- name: drop_streams
DELETE FROM observatory.events WHERE stream = ANY (%(streams)s) RETURNING commit_id;

-- name: drop_events
DELETE FROM observatory.events USING json_to_recordset(%(places)s::json) AS r(commit_id bigint, place integer)
WHERE events.commit_id = r.commit_id AND events.place = r.place;

-- name: drop_places
-- A commit of which nothing is left needs no place in the feed.
DELETE FROM observatory.placed WHERE commit_id = ANY (%(commits)s::bigint[])
  AND NOT EXISTS (SELECT 1 FROM observatory.events WHERE events.commit_id = placed.commit_id);

-- name: drop_attempts
DELETE FROM observatory.attempts WHERE job_id = ANY (%(ids)s::uuid[]);

-- name: drop_effects
DELETE FROM observatory.effects WHERE job_id = ANY (%(ids)s::uuid[]);

-- name: drop_edges_down
DELETE FROM observatory.edges WHERE parent_id = ANY (%(ids)s::uuid[]);

-- name: drop_edges_up
DELETE FROM observatory.edges WHERE child_id = ANY (%(ids)s::uuid[]);

-- name: drop_jobs
DELETE FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: count_down
-- In the same commit as the checkpoint, so that what is present and what was dropped always add up.
UPDATE observatory.counts AS c SET jobs = c.jobs - r.jobs
FROM json_to_recordset(%(rows)s::json) AS r(queue text, type text, status text, jobs bigint)
WHERE c.queue = r.queue AND c.type = r.type AND c.status = r.status;

-- name: move_checkpoint
INSERT INTO observatory.checkpoints AS c (position, as_of, jobs) VALUES (%(position)s, %(as_of)s, %(jobs)s)
ON CONFLICT (singleton) DO UPDATE SET position = greatest(c.position, excluded.position), as_of = greatest(c.as_of, excluded.as_of),
    jobs = c.jobs + excluded.jobs;

-- name: checkpoint
SELECT position, as_of, jobs FROM observatory.checkpoints;

-- name: drop_settled_letters
DELETE FROM observatory.dead_letters WHERE status <> 'kept' AND kept_at < %(before)s;

-- name: drop_told_refusals
DELETE FROM observatory.refusals WHERE told AND minute < %(minute)s;

-- name: drop_workers
DELETE FROM observatory.workers WHERE seen_at < %(before)s;

-- name: drop_holds
DELETE FROM observatory.holds WHERE until < %(before)s;
