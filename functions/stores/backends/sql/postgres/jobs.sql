-- Statements about jobs. {job} stands for a job's columns in the order of JOB_FIELDS, {light} for the same without the payload,
-- {mutable} for those that a move may change, in the form that each statement needs.

-- name: wait_for_locks
-- So long in this transaction.
SELECT set_config('lock_timeout', %(milliseconds)s::text, true);

-- name: lock_jobs
-- Jobs to be changed, in one order of locks (by id). Those that may end by it come with all that wait for them, so that the order
-- holds for everything that an end can touch. In the way of every other change, and not of who submits a child (look_at_jobs).
WITH RECURSIVE family (id) AS (
    SELECT unnest(%(ending)s::uuid[])
    UNION
    SELECT edges.child_id FROM family JOIN observatory.edges ON edges.parent_id = family.id AND NOT edges.settled
)
SELECT {light} FROM observatory.jobs
WHERE id IN (SELECT family.id FROM family UNION SELECT unnest(%(ids)s::uuid[]))
ORDER BY id FOR NO KEY UPDATE OF jobs;

-- name: lock_ending
-- Jobs that may end, and all that wait for them. FOR UPDATE keeps those off that submit a child; nobody else needs to wait for these.
WITH RECURSIVE family (id) AS (
    SELECT unnest(%(ending)s::uuid[])
    UNION
    SELECT edges.child_id FROM family JOIN observatory.edges ON edges.parent_id = family.id AND NOT edges.settled
)
SELECT {light} FROM observatory.jobs WHERE id IN (SELECT id FROM family) ORDER BY id FOR UPDATE OF jobs;

-- name: try_ending
-- As lock_ending, for a tick: what others hold is passed over, so that it delays nothing but the end that would touch it.
WITH RECURSIVE family (id) AS (
    SELECT unnest(%(ending)s::uuid[])
    UNION
    SELECT edges.child_id FROM family JOIN observatory.edges ON edges.parent_id = family.id AND NOT edges.settled
)
SELECT {light} FROM observatory.jobs WHERE id IN (SELECT id FROM family) ORDER BY id FOR UPDATE OF jobs SKIP LOCKED;

-- name: waiting_children
-- Read after lock_ending, in a snapshot of its own: a child that was submitted while the lock was waited for is among them.
WITH RECURSIVE tree (parent_id, child_id) AS (
    SELECT parent_id, child_id FROM observatory.edges WHERE parent_id = ANY (%(ending)s::uuid[]) AND NOT settled
    UNION
    SELECT edges.parent_id, edges.child_id
    FROM tree JOIN observatory.edges ON edges.parent_id = tree.child_id AND NOT edges.settled
)
SELECT parent_id, child_id FROM tree;

-- name: look_at_jobs
-- Jobs that must not end meanwhile, and may otherwise go on: KEY SHARE is in the way of lock_ending alone, not of a
-- claim, a renewed lease or a release.
SELECT {light} FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR KEY SHARE;

-- name: read_jobs
SELECT {light} FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: holders_of_unique_keys
-- Not locked: if two take a free key at once, the unique index lets one wait and then fail, and its transaction is tried again.
SELECT {light} FROM observatory.jobs
WHERE (type, unique_key) IN (SELECT r.type, r.unique_key FROM json_to_recordset(%(pairs)s::json) AS r(type text, unique_key text))
  AND unique_key IS NOT NULL AND status NOT IN ('succeeded', 'failed', 'cancelled');

-- name: claim
-- The best jobs of a queue that nothing holds back; what another claim has in hand is passed over. A queue with a limit or a
-- rate, or that is paused, gives nothing here.
SELECT {job} FROM observatory.jobs
WHERE queue = %(queue)s AND status = 'queued' AND type <> ALL (%(passed_over)s) AND NOT EXISTS (
    SELECT 1 FROM observatory.queues
    WHERE name = %(queue)s AND (paused OR max_running IS NOT NULL OR rate_per_second IS NOT NULL))
ORDER BY priority DESC, number LIMIT %(limit)s FOR NO KEY UPDATE OF jobs SKIP LOCKED;

-- name: lock_limited_queues
-- Held until the commit, so that no two transactions count the same free place.
SELECT name, max_running, rate_per_second, paused, tokens, tokens_at FROM observatory.queues
WHERE name = ANY (%(names)s) AND (max_running IS NOT NULL OR rate_per_second IS NOT NULL)
ORDER BY name FOR UPDATE;

-- name: claim_limited
-- Under the queue's lock: what it allows less what runs, the claims of those who held the lock before included.
SELECT {job} FROM observatory.jobs
WHERE queue = %(queue)s AND status = 'queued' AND type <> ALL (%(passed_over)s)
ORDER BY priority DESC, number
LIMIT greatest(0, least(%(limit)s, %(max_running)s - (
    SELECT count(*) FROM observatory.jobs AS r WHERE r.queue = %(queue)s AND r.status = 'running')))
FOR NO KEY UPDATE OF jobs SKIP LOCKED;

-- name: spend_tokens
UPDATE observatory.queues SET tokens = %(tokens)s, tokens_at = %(tokens_at)s WHERE name = %(queue)s;

-- name: expired
SELECT {light} FROM observatory.jobs
WHERE expires_at IS NOT NULL AND lease_token = 0 AND status IN ('waiting', 'scheduled', 'queued') AND expires_at <= %(now)s
ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: due
SELECT {light} FROM observatory.jobs
WHERE status IN ('scheduled', 'retrying') AND run_at <= %(now)s
ORDER BY run_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED;

-- name: lost
SELECT {light} FROM observatory.jobs
WHERE status = 'running' AND lease_until <= %(until)s
ORDER BY lease_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: next_due_at
-- Apart from the jobs that this tick has in hand: the earliest instant to come at which a tick has work, and whether there is work
-- already that somebody else holds.
SELECT least(
    (SELECT min(run_at) FROM observatory.jobs
     WHERE status IN ('scheduled', 'retrying') AND run_at > %(now)s AND id <> ALL (%(handled)s::uuid[])),
    (SELECT min(lease_until) FROM observatory.jobs WHERE status = 'running' AND lease_until > %(now)s AND id <> ALL (%(handled)s::uuid[])),
    (SELECT min(expires_at) FROM observatory.jobs
     WHERE expires_at IS NOT NULL AND lease_token = 0 AND status IN ('waiting', 'scheduled', 'queued') AND expires_at > %(now)s
        AND id <> ALL (%(handled)s::uuid[]))),
    EXISTS (SELECT 1 FROM observatory.jobs
            WHERE status IN ('scheduled', 'retrying') AND run_at <= %(now)s AND id <> ALL (%(handled)s::uuid[]))
    OR EXISTS (SELECT 1 FROM observatory.jobs WHERE status = 'running' AND lease_until <= %(now)s AND id <> ALL (%(handled)s::uuid[]))
    OR EXISTS (SELECT 1 FROM observatory.jobs
               WHERE expires_at IS NOT NULL AND lease_token = 0 AND status IN ('waiting', 'scheduled', 'queued') AND expires_at <= %(now)s
                   AND id <> ALL (%(handled)s::uuid[]));

-- name: insert_jobs
-- Rows as JSON: one statement and one plan for any number of them. `number` is drawn in the order of the list.
INSERT INTO observatory.jobs ({columns})
SELECT {columns} FROM json_to_recordset(%(rows)s::json) AS r(
    id uuid, type text, task_version integer, queue text, priority smallint, status text, payload text, max_attempts integer,
    attempts_allowed integer, timeout_seconds double precision, created_at bigint, backoff text, actor text, root_id uuid,
    on_parent_failure text, result text, error text, attempt integer, lease_token bigint, lease_until bigint, worker text,
    cancel_requested_at bigint, cancel_actor text, cancel_reason text, progress text, tags text, unique_key text, parent_id uuid,
    depends_on text, open_parents integer, schedule text, source text, source_id text, traceparent text, queued_at bigint,
    run_at bigint, started_at bigint, finished_at bigint, expires_at bigint, sequence integer);

-- name: update_jobs
UPDATE observatory.jobs SET {mutable_from_r}
FROM json_to_recordset(%(rows)s::json) AS r(
    id uuid, status text, result text, error text, attempt integer, attempts_allowed integer, lease_token bigint,
    lease_until bigint, worker text, cancel_requested_at bigint, cancel_actor text, cancel_reason text, progress text,
    open_parents integer, queued_at bigint, run_at bigint, started_at bigint, finished_at bigint, sequence integer)
WHERE jobs.id = r.id;

-- name: insert_attempts
INSERT INTO observatory.attempts
    (job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error, output)
SELECT job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error, decode(output, 'base64')
FROM json_to_recordset(%(rows)s::json) AS r(
    job_id uuid, lease_token bigint, attempt integer, worker text, instance text, claimed_at bigint, started_at bigint,
    finished_at bigint, outcome text, error text, output text)
ON CONFLICT (job_id, lease_token) DO UPDATE SET
    attempt = excluded.attempt, worker = excluded.worker, instance = excluded.instance, claimed_at = excluded.claimed_at,
    started_at = excluded.started_at, finished_at = excluded.finished_at, outcome = excluded.outcome, error = excluded.error,
    output = excluded.output;

-- name: insert_edges
INSERT INTO observatory.edges (parent_id, child_id, settled)
SELECT parent_id, child_id, settled FROM json_to_recordset(%(rows)s::json) AS r(parent_id uuid, child_id uuid, settled boolean);

-- name: settle_edges
UPDATE observatory.edges SET settled = true
FROM json_to_recordset(%(rows)s::json) AS r(parent_id uuid, child_id uuid)
WHERE edges.parent_id = r.parent_id AND edges.child_id = r.child_id;

-- name: read_effects
SELECT job_id, step, value FROM observatory.effects
WHERE (job_id, step) IN (SELECT r.job_id, r.step FROM json_to_recordset(%(pairs)s::json) AS r(job_id uuid, step text));

-- name: insert_effects
INSERT INTO observatory.effects (job_id, step, lease_token, value)
SELECT job_id, step, lease_token, value
FROM json_to_recordset(%(rows)s::json) AS r(job_id uuid, step text, lease_token bigint, value text);

-- name: reserve_keys
-- Each key goes to whoever inserts it first; who comes second waits for the first one's commit. In one order, against deadlocks.
INSERT INTO observatory.idempotency (key, job_id, fingerprint, created_at)
SELECT key, job_id, decode(fingerprint, 'hex'), %(now)s::bigint
FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (key text, job_id uuid, fingerprint text)) WITH ORDINALITY
    AS r(key, job_id, fingerprint, place)
ORDER BY key, place
ON CONFLICT DO NOTHING;

-- name: holders_of_keys
-- After reserve_keys: who has them now, and how that job ended if it was dropped.
SELECT key, job_id, fingerprint, gone.status
FROM observatory.idempotency LEFT JOIN observatory.gone USING (job_id) WHERE key = ANY (%(keys)s);

-- name: gone
-- Of jobs that were there when their keys were asked for, and are not any more: how they ended.
SELECT job_id, status FROM observatory.gone WHERE job_id = ANY (%(ids)s::uuid[]);

-- name: point_keys
INSERT INTO observatory.idempotency (key, job_id, fingerprint, created_at)
SELECT key, job_id, decode(fingerprint, 'hex'), %(now)s::bigint
FROM json_to_recordset(%(rows)s::json) AS r(key text, job_id uuid, fingerprint text)
ORDER BY key
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, fingerprint = excluded.fingerprint, created_at = excluded.created_at;

-- name: free_keys
DELETE FROM observatory.idempotency WHERE key = ANY (%(keys)s);

-- name: write_seen
-- Who asked for jobs; of each at most once a second, and nobody waits for a row that somebody else is writing just now.
INSERT INTO observatory.workers (queue, worker, seen_at)
SELECT queue, worker, %(now)s::bigint FROM json_to_recordset(%(rows)s::json) AS r(queue text, worker text)
ORDER BY queue, worker
ON CONFLICT (queue, worker) DO UPDATE SET seen_at = excluded.seen_at;
