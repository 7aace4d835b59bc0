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

-- name: miscounted_parents
-- Of jobs that wait: those whose count of open parents is not that of the parents that have not ended and do not count as ended.
SELECT child.id, child.open_parents, count(parent.id)
FROM observatory.jobs AS child
LEFT JOIN observatory.edges ON edges.child_id = child.id AND NOT edges.settled
LEFT JOIN observatory.jobs AS parent ON parent.id = edges.parent_id AND parent.status NOT IN ('succeeded', 'failed', 'cancelled')
WHERE child.id = ANY (%(ids)s::uuid[]) AND child.status = 'waiting'
GROUP BY child.id HAVING child.open_parents <> count(parent.id);

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
