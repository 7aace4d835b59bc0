-- What an audit reads, and how it mends the tables from the log.

-- name: jobs_by_number
SELECT number, {job} FROM observatory.jobs WHERE number > %(after)s ORDER BY number LIMIT %(limit)s;

-- name: bodies_of_streams
SELECT stream, body FROM observatory.events WHERE stream = ANY (%(streams)s) ORDER BY stream, sequence;

-- name: attempts_of_jobs
SELECT job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error
FROM observatory.attempts WHERE job_id = ANY (%(ids)s::uuid[]) ORDER BY job_id, lease_token;

-- name: missing_jobs
SELECT id FROM unnest(%(ids)s::uuid[]) AS wanted (id) WHERE NOT EXISTS (SELECT 1 FROM observatory.jobs WHERE jobs.id = wanted.id);

-- name: waiting
-- Of jobs that wait, each parent: whether its end is still to be told, and whether by the log it has not ended since the job came.
-- The log's order is that of the commit numbers, in which commits get their positions.
WITH waited AS (
    SELECT child.number, child.id AS child, child.open_parents, parents.value::uuid AS parent, 'job/' || parents.value AS stream,
           (SELECT (commit_id, place) FROM observatory.events WHERE stream = 'job/' || child.id AND sequence = 1) AS born,
           (SELECT max(sequence) FROM observatory.events WHERE stream = 'job/' || parents.value AND type = ANY (%(ends)s)) AS ended
    FROM observatory.jobs AS child LEFT JOIN LATERAL json_array_elements_text(child.depends_on::json) AS parents (value) ON true
    WHERE child.id = ANY (%(ids)s::uuid[]) AND child.status = 'waiting'
)
SELECT child, open_parents, parent,
       EXISTS (SELECT 1 FROM observatory.edges WHERE parent_id = parent AND child_id = child AND NOT settled),
       EXISTS (SELECT 1 FROM observatory.events AS e WHERE e.stream = waited.stream) AND (ended IS NULL OR EXISTS (
           SELECT 1 FROM observatory.events AS e
           WHERE e.stream = waited.stream AND e.type = %(reopened)s AND e.sequence > ended AND (e.commit_id, e.place) < born))
FROM waited ORDER BY number;

-- name: restore_open_parents
UPDATE observatory.jobs SET open_parents = r.open_parents
FROM json_to_recordset(%(rows)s::json) AS r(id uuid, open_parents integer) WHERE jobs.id = r.id;

-- name: settle_edges_of
UPDATE observatory.edges SET settled = true WHERE child_id = ANY (%(ids)s::uuid[]) AND NOT settled;

-- name: restore_edges
INSERT INTO observatory.edges (parent_id, child_id, settled)
SELECT parent_id, child_id, false FROM json_to_recordset(%(rows)s::json) AS r(parent_id uuid, child_id uuid)
ON CONFLICT (parent_id, child_id) DO UPDATE SET settled = false;

-- name: restore_job
-- What the log does not tell stays; a running job's lease has run out, so that its worker's end is awaited no longer.
UPDATE observatory.jobs SET {compared_from_r},
    lease_until = CASE WHEN r.status = 'running' THEN coalesce(jobs.lease_until, 0) END
FROM json_populate_record(NULL::observatory.jobs, %(row)s::json) AS r
WHERE jobs.id = r.id RETURNING jobs.id;

-- name: restore_attempts
INSERT INTO observatory.attempts AS a (job_id, lease_token, attempt, worker, instance, claimed_at, finished_at, outcome, error)
SELECT job_id, lease_token, attempt, worker, instance, claimed_at, finished_at, outcome, error
FROM json_to_recordset(%(rows)s::json) AS r(job_id uuid, lease_token bigint, attempt integer, worker text, instance text,
    claimed_at bigint, finished_at bigint, outcome text, error text)
ON CONFLICT (job_id, lease_token) DO UPDATE SET attempt = excluded.attempt, claimed_at = excluded.claimed_at,
    finished_at = excluded.finished_at, outcome = excluded.outcome,
    error = CASE excluded.outcome WHEN 'cancelled' THEN a.error ELSE excluded.error END;

-- name: drop_untold_attempts
DELETE FROM observatory.attempts WHERE job_id = %(id)s::uuid AND lease_token <> ALL (%(tokens)s::bigint[]);

-- name: lock_placing
-- The lock of place(): while it is held, the counts stand still at the head of the feed.
SELECT pg_advisory_xact_lock(7041958, 1);

-- name: forget_counts
DELETE FROM observatory.counts;

-- name: count_again
-- What is there, less what commits that are not placed yet will add.
INSERT INTO observatory.counts (queue, type, status, jobs)
SELECT queue, type, status, sum(jobs) FROM (
    SELECT queue, type, status, 1 AS jobs FROM observatory.jobs
    UNION ALL
    SELECT d.queue, d.type, d.status, -d.jobs
    FROM observatory.unplaced, json_to_recordset(unplaced.counts::json) AS d(queue text, type text, status text, jobs bigint)
) AS parts GROUP BY 1, 2, 3 HAVING sum(jobs) <> 0;
