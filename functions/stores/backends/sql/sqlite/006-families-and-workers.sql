-- Searches have an index of their own (search.db): nothing reads these any more, and every submission and move paid for them.
DROP INDEX jobs_by_status;
DROP INDEX jobs_by_type;
DROP INDEX jobs_by_queue;
DROP TABLE tags;

-- A queue's oldest queued job, whatever its priority.
CREATE INDEX jobs_queued ON jobs (queue, queued_at) WHERE status = 'queued';

-- Every dependency, also on parents that had ended when the child came (those are settled), so that a family can be walked both ways.
INSERT OR IGNORE INTO edges (parent_id, child_id, settled)
SELECT needed.value, jobs.id, 1 FROM jobs, json_each(jobs.depends_on) AS needed WHERE jobs.depends_on != '[]';
CREATE INDEX edges_by_child ON edges (child_id);

-- Who asked for jobs of a queue, or renewed a lease of it, and when last.
CREATE TABLE workers (
    queue TEXT NOT NULL,
    worker TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (queue, worker)
) WITHOUT ROWID;
