-- Search: rows of jobs as queries look at them, and rows of the index.

-- name: jobs_before
SELECT number, {job} FROM observatory.jobs WHERE number < %(before)s ORDER BY number DESC LIMIT %(limit)s;

-- name: jobs_at
SELECT number, {job} FROM observatory.jobs WHERE number = ANY (%(numbers)s::bigint[]) ORDER BY number DESC;

-- name: states_at
SELECT id, status FROM observatory.jobs WHERE number = ANY (%(numbers)s::bigint[]) ORDER BY number DESC;

-- name: outputs
SELECT job_id, output FROM observatory.attempts WHERE job_id = ANY (%(ids)s::uuid[]) AND output IS NOT NULL;

-- name: next_number
SELECT coalesce(max(number), 0) + 1 FROM observatory.jobs;

-- name: dropped_jobs
SELECT coalesce(sum(jobs), 0)::bigint FROM observatory.checkpoints;

-- name: changed_since
-- Jobs with an event past a position, and those of commits that have no position yet.
SELECT number FROM observatory.jobs
WHERE number >= %(first)s AND number < %(before)s AND id IN (
    SELECT substr(e.stream, 5)::uuid FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
    WHERE p.last > %(position)s AND e.stream >= 'job/' AND e.stream < 'job0'
    UNION
    SELECT substr(e.stream, 5)::uuid FROM observatory.unplaced AS u JOIN observatory.events AS e ON e.commit_id = u.commit_id
    WHERE e.stream >= 'job/' AND e.stream < 'job0')
ORDER BY number DESC;

-- name: changes_after
SELECT max(position), coalesce(array_agg(DISTINCT substr(stream, 5)) FILTER (WHERE stream >= 'job/' AND stream < 'job0'), '{}')
FROM (
    SELECT p.last - p.events + 1 + e.place AS position, e.stream
    FROM observatory.placed AS p JOIN observatory.events AS e ON e.commit_id = p.commit_id
    WHERE p.last > %(position)s AND p.last - p.events + 1 + e.place > %(position)s
    ORDER BY p.last, e.place LIMIT %(limit)s
) AS next;

-- name: number_of
SELECT number, root_id = id FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: numbers_of
SELECT number FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]) AND number < %(before)s ORDER BY number DESC;

-- name: first_since
-- By halves: numbers grow with the time of acceptance, but for the little time between an instant and the drawing of a number.
WITH RECURSIVE halves (low, high) AS (
    SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM observatory.jobs
    UNION ALL
    SELECT CASE WHEN found.created_at < %(instant)s THEN found.number + 1 ELSE halves.low END,
        CASE WHEN found.created_at < %(instant)s THEN halves.high ELSE (halves.low + halves.high) / 2 END
    FROM halves LEFT JOIN LATERAL (
        SELECT jobs.number, jobs.created_at FROM observatory.jobs
        WHERE jobs.number >= (halves.low + halves.high) / 2 ORDER BY jobs.number LIMIT 1) AS found ON true
    WHERE halves.low < halves.high
)
SELECT low FROM halves WHERE low >= high LIMIT 1;

-- name: numbers_between
SELECT number FROM observatory.jobs WHERE number >= %(first)s AND number < %(end)s;

-- name: raw_of
SELECT {raw}, (SELECT coalesce(array_agg(output), '{}') FROM observatory.attempts WHERE job_id = jobs.id AND output IS NOT NULL)
FROM observatory.jobs WHERE id = ANY (%(ids)s::uuid[]);

-- name: raw_between
SELECT {raw}, (SELECT coalesce(array_agg(output), '{}') FROM observatory.attempts WHERE job_id = jobs.id AND output IS NOT NULL)
FROM observatory.jobs WHERE number >= %(first)s AND number < %(end)s;

-- ---- the index --------------------------------------------------------------------------------------------------

-- name: follow_turn
-- One process at a time follows the feed for all.
SELECT pg_try_advisory_lock(7041958, 7);

-- name: index_progress
SELECT position, first_block, made_of FROM observatory.search_progress;

-- name: set_index_progress
UPDATE observatory.search_progress SET position = %(position)s, first_block = %(first_block)s;

-- name: begin_index
INSERT INTO observatory.search_progress (made_of, position, first_block) VALUES (%(made_of)s, %(position)s, %(first_block)s)
ON CONFLICT (singleton) DO UPDATE SET made_of = excluded.made_of, position = excluded.position, first_block = excluded.first_block;

-- name: index_label
SELECT block, bits FROM observatory.search_labels WHERE term = %(term)s::bytea;

-- name: index_labels_in
SELECT term, bits FROM observatory.search_labels WHERE term = ANY (%(terms)s::bytea[]) AND block = %(block)s;

-- name: index_blocks
SELECT block FROM observatory.search_labels WHERE term = %(term)s::bytea ORDER BY block DESC;

-- name: index_words
SELECT block, bits FROM observatory.search_words WHERE block = ANY (%(blocks)s::integer[]) AND term = %(term)s::bytea;

-- name: index_words_in
SELECT term, bits FROM observatory.search_words WHERE block = %(block)s AND term = ANY (%(terms)s::bytea[]);

-- name: index_slices
SELECT block, bits FROM observatory.search_slices WHERE block = ANY (%(blocks)s::integer[]) AND kind = %(kind)s;

-- name: put_labels
INSERT INTO observatory.search_labels (term, block, bits)
SELECT * FROM unnest(%(terms)s::bytea[], %(blocks)s::integer[], %(bits)s::bytea[])
ON CONFLICT (term, block) DO UPDATE SET bits = excluded.bits;

-- name: put_words
INSERT INTO observatory.search_words (block, term, bits)
SELECT %(block)s::integer, * FROM unnest(%(terms)s::bytea[], %(bits)s::bytea[])
ON CONFLICT (block, term) DO UPDATE SET bits = excluded.bits;

-- name: put_slices
INSERT INTO observatory.search_slices (kind, block, bits) VALUES (%(kind)s, %(block)s, %(bits)s)
ON CONFLICT (kind, block) DO UPDATE SET bits = excluded.bits;

-- name: drop_block
WITH words AS (DELETE FROM observatory.search_words WHERE block = %(block)s),
     slices AS (DELETE FROM observatory.search_slices WHERE block = %(block)s)
DELETE FROM observatory.search_labels WHERE block = %(block)s;

-- name: empty_index
WITH words AS (DELETE FROM observatory.search_words), slices AS (DELETE FROM observatory.search_slices)
DELETE FROM observatory.search_labels;
