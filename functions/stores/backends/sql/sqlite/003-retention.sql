-- What retention dropped, so that folds can start from it: the fold of every dropped event, in rows that add up.
DROP TABLE checkpoints;
CREATE TABLE checkpoints (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL,          -- the highest that was dropped
    as_of INTEGER NOT NULL,             -- the time of the newest dropped event
    jobs INTEGER NOT NULL               -- how many jobs were dropped
);
CREATE TABLE checkpoint_states (
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (queue, type, status)
) WITHOUT ROWID;
CREATE TABLE checkpoint_sums (
    minute INTEGER NOT NULL,
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    measure TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, type, measure)
) WITHOUT ROWID;
CREATE TABLE checkpoint_buckets (
    minute INTEGER NOT NULL,
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    measure TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, type, measure, bucket)
) WITHOUT ROWID;

-- How jobs ended that were dropped within a day of their end, for idempotency keys that still stand for them.
CREATE TABLE gone (
    job_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    finished_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX gone_by_age ON gone (finished_at);
