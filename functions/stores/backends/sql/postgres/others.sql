-- What is neither a job nor the feed: queues, schedules, dead letters, refusals, bulk operations, what is read of a job.

-- name: ping
SELECT 1;

-- name: clock
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: deployment
SELECT source, (SELECT max(time) FROM (
    SELECT time FROM observatory.events WHERE commit_id = (SELECT max(commit_id) FROM observatory.events)) AS newest)
FROM observatory.deployment;

-- name: deployment_now
SELECT source, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM observatory.deployment;

-- ---- a job ------------------------------------------------------------------------------------------------------

-- name: job
SELECT {job} FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: statuses
SELECT id, status FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: attempts
SELECT job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error, output
FROM observatory.attempts WHERE job_id = ANY (%(ids)s::uuid[]) ORDER BY lease_token;

-- name: effects
SELECT job_id, step, value FROM observatory.effects WHERE job_id = ANY (%(ids)s::uuid[]);

-- name: family
-- Jobs that hang together by depends_on or parent_id, in either direction. Each round of the recursion adds the neighbours of the
-- one before, so the nearest come first, and no more rounds are made than the limit needs.
WITH RECURSIVE family (id) AS (
    SELECT %(id)s::uuid
    UNION
    SELECT near.id FROM family, LATERAL (
        SELECT child_id AS id FROM observatory.edges WHERE edges.parent_id = family.id
        UNION ALL SELECT edges.parent_id FROM observatory.edges WHERE edges.child_id = family.id
        UNION ALL SELECT jobs.id FROM observatory.jobs WHERE jobs.parent_id = family.id
        UNION ALL SELECT jobs.parent_id FROM observatory.jobs WHERE jobs.id = family.id AND jobs.parent_id IS NOT NULL
    ) AS near
)
SELECT id FROM family LIMIT %(limit)s;

-- name: read_bare_jobs
SELECT {bare} FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]) ORDER BY number;

-- ---- queues -----------------------------------------------------------------------------------------------------

-- name: queues
SELECT name, max_running, rate_per_second, paused, paused_by, paused_at,
    (SELECT min(queued_at) FROM observatory.jobs WHERE jobs.queue = queues.name AND jobs.status = 'queued')
FROM observatory.queues ORDER BY name;

-- name: workers
SELECT queue, worker, seen_at FROM observatory.workers;

-- name: queue_flags
SELECT name, paused, max_running, rate_per_second FROM observatory.queues;

-- name: configure_queue
INSERT INTO observatory.queues (name, max_running, rate_per_second, paused, tokens, tokens_at)
VALUES (%(name)s, %(max_running)s, %(rate)s::float8, %(paused)s, coalesce(%(rate)s::float8, 0), %(now)s)
ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate_per_second = excluded.rate_per_second;

-- name: pause_queue
UPDATE observatory.queues SET paused = %(paused)s, paused_by = %(by)s, paused_at = %(at)s WHERE name = %(name)s;

-- ---- schedules --------------------------------------------------------------------------------------------------

-- name: lock_schedules
-- One transaction at a time decides about schedules, two ticks included; there are few, and it takes a moment.
SELECT pg_advisory_xact_lock(7041958, 2);

-- name: all_schedules
SELECT name, definition, paused, next_at, last_at, last_job_id FROM observatory.schedules ORDER BY name;

-- name: schedules_by_name
SELECT name, definition, paused, next_at, last_at, last_job_id FROM observatory.schedules WHERE name = ANY (%(names)s);

-- name: due_schedules
SELECT name, definition, paused, next_at, last_at, last_job_id FROM observatory.schedules
WHERE next_at <= %(now)s ORDER BY next_at LIMIT %(limit)s;

-- name: next_firing_at
SELECT min(next_at) FROM observatory.schedules WHERE next_at > %(now)s;

-- name: schedules_page
SELECT name, definition, paused, next_at, last_at, last_job_id FROM observatory.schedules
WHERE name > %(after)s ORDER BY name LIMIT %(limit)s;

-- name: write_schedules
INSERT INTO observatory.schedules (name, definition, paused, next_at, last_at, last_job_id)
SELECT name, definition, paused, next_at, last_at, last_job_id FROM json_to_recordset(%(rows)s::json) AS r(
    name text, definition text, paused boolean, next_at bigint, last_at bigint, last_job_id uuid)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, paused = excluded.paused, next_at = excluded.next_at,
    last_at = excluded.last_at, last_job_id = excluded.last_job_id;

-- name: delete_schedules
DELETE FROM observatory.schedules WHERE name = ANY (%(names)s);

-- name: schedule_events
-- Of each schedule all but the firings and skips that later ones outdo.
SELECT stream, body FROM observatory.events AS e
WHERE stream > 'schedule/' AND stream < 'schedule0'    -- '0' is the character after '/'
  AND (type <> ALL (%(passing)s) OR NOT EXISTS (
    SELECT 1 FROM observatory.events AS later WHERE later.stream = e.stream AND later.type = e.type AND later.sequence > e.sequence))
ORDER BY stream, sequence;

-- ---- dead letters and refusals ----------------------------------------------------------------------------------

-- name: keep_dead_letter
INSERT INTO observatory.dead_letters AS d
    (id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, position, status)
VALUES (%(id)s, %(trigger)s, %(source)s, %(event_id)s, %(event_type)s, %(reason)s, %(attempts)s, %(content_type)s, %(body)s,
    %(headers)s, %(kept_at)s, %(position)s, 'kept')
ON CONFLICT (trigger, source, event_id) DO UPDATE SET attempts = d.attempts + excluded.attempts, reason = excluded.reason,
    status = CASE d.status WHEN 'discarded' THEN d.status ELSE 'kept' END
    WHERE d.id <> excluded.id;

-- name: dead_letters
SELECT id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status, outcome, position
FROM observatory.dead_letters
WHERE (%(status)s::text IS NULL OR status = %(status)s) AND (%(before)s::text IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: dead_letter
SELECT id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status, outcome, position
FROM observatory.dead_letters WHERE id = %(id)s;

-- name: dead_letter_of
SELECT id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status, outcome, position
FROM observatory.dead_letters WHERE trigger = %(trigger)s AND source = %(source)s AND event_id = %(event_id)s;

-- name: dead_letter_counts
SELECT status, count(*) FROM observatory.dead_letters WHERE kept_at >= %(since)s GROUP BY status;

-- name: resolve_dead_letters
-- The reason tells a fault that passes (5xx, no answer) from one that does not.
UPDATE observatory.dead_letters SET status = 'resolved', outcome = %(outcome)s
WHERE status = 'kept' AND position IS NOT NULL AND (reason LIKE 'the subscriber answered 5%%' OR reason LIKE '%%no answer%%')
  AND ((trigger = ANY (%(readers)s::text[]) AND position <= %(position)s)
    OR (trigger = ANY (%(claimers)s::text[]) AND event_type = 'dev.observatory.job.queued.v1' AND NOT EXISTS (
        SELECT 1 FROM observatory.jobs WHERE jobs.id::text = substr(event_id, 5, 36) AND jobs.status = 'queued')))
RETURNING id;

-- name: tell_dead_letter
UPDATE observatory.dead_letters SET status = %(status)s, outcome = %(outcome)s WHERE id = %(id)s;

-- name: keep_secret_schemas
INSERT INTO observatory.secret_schemas (type, schema) SELECT type, schema FROM json_to_recordset(%(rows)s::json) AS r(type text, schema text)
ON CONFLICT DO NOTHING;

-- name: secret_schemas
SELECT type, schema FROM observatory.secret_schemas ORDER BY type, schema;

-- name: lock_refusals
SELECT pg_advisory_xact_lock(7041958, 3);

-- name: refusals_of_minute
SELECT subject_type, reason, count, samples FROM observatory.refusals WHERE minute = %(minute)s;

-- name: write_refusals
INSERT INTO observatory.refusals (minute, subject_type, reason, count, samples)
SELECT %(minute)s::bigint, subject_type, reason, count, samples
FROM json_to_recordset(%(rows)s::json) AS r(subject_type text, reason text, count integer, samples text)
ON CONFLICT (minute, subject_type, reason) DO UPDATE SET count = excluded.count, samples = excluded.samples;

-- name: tell_refusals
UPDATE observatory.refusals SET told = true WHERE NOT told AND minute < %(minute)s RETURNING minute, subject_type, reason, count;

-- name: refusals
SELECT minute, subject_type, reason, count, samples FROM observatory.refusals
WHERE %(subject_type)s::text IS NULL OR subject_type = %(subject_type)s
ORDER BY minute DESC, count DESC, subject_type, reason LIMIT %(limit)s;

-- ---- alerts -----------------------------------------------------------------------------------------------------

-- name: lock_alerts
-- One at a time judges, so that an alert is told once.
SELECT pg_advisory_xact_lock(7041958, 4);

-- name: alerts
SELECT id, state FROM observatory.alerts;

-- name: write_alerts
INSERT INTO observatory.alerts (id, state) SELECT id, state FROM json_to_recordset(%(rows)s::json) AS r(id text, state text)
ON CONFLICT (id) DO UPDATE SET state = excluded.state;

-- name: delete_alerts
DELETE FROM observatory.alerts WHERE id = ANY (%(ids)s);

-- ---- what one at a time may do ----------------------------------------------------------------------------------

-- name: hold
INSERT INTO observatory.holds AS h (name, holder, until) VALUES (%(name)s, %(holder)s, %(until)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE h.holder = excluded.holder OR h.until <= %(now)s
RETURNING name;

-- name: let_go
DELETE FROM observatory.holds WHERE name = %(name)s AND holder = %(holder)s;

-- ---- bulk operations --------------------------------------------------------------------------------------------

-- name: begin_bulk
INSERT INTO observatory.bulk_operations (id, action, query, actor, reason, created_at, matched, state, items)
VALUES (%(id)s::uuid, %(action)s, %(query)s, %(actor)s, %(reason)s, %(created_at)s, %(matched)s, %(state)s, %(items)s);

-- name: lock_bulk
SELECT id, state FROM observatory.bulk_operations WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR UPDATE;

-- name: save_bulk
-- A finished one needs its ids no longer.
UPDATE observatory.bulk_operations SET state = %(state)s, items = CASE WHEN %(finished)s THEN NULL ELSE items END
WHERE id = %(id)s::uuid;

-- name: bulk
SELECT id, action, query, actor, reason, created_at, matched, state FROM observatory.bulk_operations WHERE id = %(id)s::uuid;

-- name: bulks
SELECT id, action, query, actor, reason, created_at, matched, state FROM observatory.bulk_operations
WHERE NOT %(open_only)s OR items IS NOT NULL ORDER BY id DESC LIMIT %(limit)s;

-- name: bulk_items
SELECT substring(items FROM %(start)s FOR %(length)s) FROM observatory.bulk_operations WHERE id = %(id)s::uuid;
