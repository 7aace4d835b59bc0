-- The feed: events as they are written, and as readers find them.

-- name: insert_events
-- The last statement of a transaction: every lock is held, so the number that is drawn here is greater than that of any commit
-- that this one builds on.
WITH new AS (
    INSERT INTO observatory.unplaced (events, counts) VALUES (%(events)s, %(counts)s) RETURNING commit_id
), told AS (
    INSERT INTO observatory.events (commit_id, place, stream, sequence, type, time, body)
    SELECT new.commit_id, r.place, r.stream, r.sequence, r.type, %(now)s::bigint, r.body
    FROM new, json_to_recordset(%(rows)s::json) AS r(place integer, stream text, sequence integer, type text, body text)
)
SELECT commit_id FROM new;

-- name: find_commit
-- Whether a commit took place whose answer was lost: by one of its events.
SELECT commit_id FROM observatory.events WHERE stream = %(stream)s AND sequence = %(sequence)s AND body = %(body)s;

-- name: is_backend_alive
SELECT 1 FROM pg_stat_activity WHERE pid = %(pid)s;

-- name: place
SELECT commit_id, last, events FROM observatory.place(%(own)s::bigint[]);

-- name: lock_streams
-- Streams that are no job's; one that is new gets its row first.
INSERT INTO observatory.streams (stream, sequence)
SELECT unnest, 0 FROM unnest(%(streams)s::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: read_streams
SELECT stream, sequence FROM observatory.streams WHERE stream = ANY (%(streams)s) ORDER BY stream FOR UPDATE;

-- name: write_streams
UPDATE observatory.streams SET sequence = r.sequence
FROM json_to_recordset(%(rows)s::json) AS r(stream text, sequence integer) WHERE streams.stream = r.stream;

-- name: head
SELECT position FROM observatory.head;

-- name: feed
SELECT p.last - p.events + 1 + e.place AS position, e.body
FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
WHERE p.last > %(after)s AND p.last - p.events + 1 + e.place > %(after)s
ORDER BY p.last, e.place LIMIT %(limit)s;

-- name: feed_up_to
-- The commit in which `upto` stands is the last that is looked at, so that the index says where to stop.
SELECT p.last - p.events + 1 + e.place AS position, e.body
FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
WHERE p.last > %(after)s AND p.last <= (SELECT coalesce(min(last), %(upto)s) FROM observatory.placed WHERE last >= %(upto)s)
  AND p.last - p.events + 1 + e.place > %(after)s AND p.last - p.events + 1 + e.place <= %(upto)s
ORDER BY p.last, e.place LIMIT %(limit)s;

-- name: events_of
-- A stream is whole for its reader at once, so an event without a position yet is among them.
SELECT p.last - p.events + 1 + e.place AS position, e.body
FROM observatory.events AS e LEFT JOIN observatory.placed AS p ON p.commit_id = e.commit_id
WHERE e.stream = %(stream)s AND e.sequence > %(after)s ORDER BY e.sequence LIMIT %(limit)s;

-- name: events_before
-- Newest first, from `before` (exclusive) down to `floor`; of these types, or of all when there are none.
SELECT p.last - p.events + 1 + e.place AS position, e.body
FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
WHERE p.last >= %(floor)s AND p.last <= (SELECT coalesce(min(last), %(before)s) FROM observatory.placed WHERE last >= %(before)s)
  AND p.last - p.events + 1 + e.place < %(before)s AND p.last - p.events + 1 + e.place >= %(floor)s
  AND (%(types)s::text[] = '{}' OR e.type = ANY (%(types)s::text[]))
ORDER BY p.last DESC, e.place DESC LIMIT %(limit)s;

-- name: events_of_stream_before
SELECT p.last - p.events + 1 + e.place AS position, e.body
FROM observatory.events AS e JOIN observatory.placed AS p ON p.commit_id = e.commit_id
WHERE e.stream = %(stream)s AND p.last - p.events + 1 + e.place < %(before)s
  AND (%(types)s::text[] = '{}' OR e.type = ANY (%(types)s::text[]))
ORDER BY e.sequence DESC LIMIT %(limit)s;

-- name: dropped
SELECT coalesce(max(position), 0) FROM observatory.checkpoints;

-- name: cursors
SELECT name, position FROM observatory.cursors;

-- name: advance
INSERT INTO observatory.cursors AS c (name, position) VALUES (%(name)s, %(position)s)
ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE c.position < excluded.position;

-- name: forget_cursor
DELETE FROM observatory.cursors WHERE name = %(name)s;

-- name: counts
-- What is placed, and what is not yet.
SELECT queue, type, status, sum(jobs)::bigint FROM (
    SELECT queue, type, status, jobs FROM observatory.counts
    UNION ALL
    SELECT d.queue, d.type, d.status, d.jobs
    FROM observatory.unplaced, json_to_recordset(unplaced.counts::json) AS d(queue text, type text, status text, jobs bigint)
) AS parts GROUP BY 1, 2, 3 HAVING sum(jobs) <> 0;

-- name: counted
-- As of the head of the feed alone.
SELECT queue, type, status, jobs FROM observatory.counts WHERE jobs <> 0;

-- name: take_turn
-- The turn to publish, of this session until it gives it back or ends.
SELECT pg_try_advisory_lock(7041958, 6);

-- name: give_turn
SELECT pg_advisory_unlock(7041958, 6);

-- name: be_present
-- Every open store, for as long as its session lives; false while somebody has the database for itself.
SELECT pg_try_advisory_lock_shared(7041958, 8);

-- name: take_alone
SELECT pg_try_advisory_lock(7041958, 8);
