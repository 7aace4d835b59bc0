-- Deltas of statistics as rows that add up: of the statistics themselves, and of the checkpoint. {owner} stands for either.

-- name: {owner}_add_states
INSERT INTO observatory.{owner}_states AS c (queue, type, status, jobs)
SELECT queue, type, status, jobs FROM json_to_recordset(%(rows)s::json) AS r(queue text, type text, status text, jobs bigint)
ON CONFLICT (queue, type, status) DO UPDATE SET jobs = c.jobs + excluded.jobs;

-- name: {owner}_add_sums
INSERT INTO observatory.{owner}_sums AS c (minute, queue, type, measure, value)
SELECT minute, queue, type, measure, value
FROM json_to_recordset(%(rows)s::json) AS r(minute bigint, queue text, type text, measure text, value bigint)
ON CONFLICT (minute, queue, type, measure) DO UPDATE SET value = c.value + excluded.value;

-- name: {owner}_add_buckets
INSERT INTO observatory.{owner}_buckets AS c (minute, queue, type, measure, bucket, count)
SELECT minute, queue, type, measure, bucket, count
FROM json_to_recordset(%(rows)s::json) AS r(minute bigint, queue text, type text, measure text, bucket integer, count bigint)
ON CONFLICT (minute, queue, type, measure, bucket) DO UPDATE SET count = c.count + excluded.count;

-- name: {owner}_states
SELECT queue, type, status, jobs FROM observatory.{owner}_states WHERE jobs <> 0;

-- name: {owner}_sums
SELECT minute, queue, type, measure, value FROM observatory.{owner}_sums WHERE value <> 0;

-- name: {owner}_buckets
SELECT minute, queue, type, measure, bucket, count FROM observatory.{owner}_buckets WHERE count <> 0;

-- name: {owner}_drop_sums
DELETE FROM observatory.{owner}_sums WHERE minute > %(all_time)s AND minute < %(before)s RETURNING 1;

-- name: {owner}_drop_buckets
DELETE FROM observatory.{owner}_buckets WHERE minute > %(all_time)s AND minute < %(before)s RETURNING 1;

-- ---- the statistics alone ---------------------------------------------------------------------------------------

-- name: statistics_cursor
SELECT coalesce((SELECT position FROM observatory.statistics_cursor), 0);

-- name: move_statistics_cursor
INSERT INTO observatory.statistics_cursor (position) VALUES (%(position)s)
ON CONFLICT (singleton) DO UPDATE SET position = excluded.position;

-- name: lock_statistics
-- One fold at a time: whoever comes second finds the cursor moved.
SELECT pg_advisory_xact_lock(7041958, 5);

-- name: sums_between
SELECT queue, type, measure, sum(value)::bigint FROM observatory.statistics_sums
WHERE minute BETWEEN %(first)s AND %(last)s GROUP BY 1, 2, 3;

-- name: buckets_between
SELECT queue, type, measure, bucket, sum(count)::bigint FROM observatory.statistics_buckets
WHERE minute BETWEEN %(first)s AND %(last)s GROUP BY 1, 2, 3, 4;

-- name: series
SELECT minute, measure, sum(value)::bigint FROM observatory.statistics_sums
WHERE minute BETWEEN %(first)s AND %(last)s GROUP BY 1, 2;

-- name: clear_statistics
WITH states AS (DELETE FROM observatory.statistics_states), sums AS (DELETE FROM observatory.statistics_sums),
    cursor AS (DELETE FROM observatory.statistics_cursor)
DELETE FROM observatory.statistics_buckets;

-- name: note_instance
INSERT INTO observatory.instances (function, instance, started_at, first_request_at, stopped_at, start_seconds)
VALUES (%(function)s, %(instance)s, %(started_at)s, %(first_request_at)s, %(stopped_at)s, %(start_seconds)s)
ON CONFLICT (function, instance) DO UPDATE SET started_at = excluded.started_at, first_request_at = excluded.first_request_at,
    stopped_at = excluded.stopped_at, start_seconds = excluded.start_seconds;

-- name: instances
SELECT function, instance, started_at, first_request_at, stopped_at, start_seconds
FROM observatory.instances ORDER BY started_at DESC LIMIT %(limit)s;

-- name: drop_instances
DELETE FROM observatory.instances WHERE started_at < %(before)s;
