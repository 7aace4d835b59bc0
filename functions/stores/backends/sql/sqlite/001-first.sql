-- The first layout. Instants are microseconds since the epoch, UTC; columns that end in no unit and hold JSON say so.

-- What this data folder is: the `source` of its events, and when it was made.
CREATE TABLE deployment (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    source TEXT NOT NULL,
    made_at INTEGER NOT NULL
);

-- `number` is the order of acceptance: lists page by it, and every index ends in it without naming it.
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    task_version INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    status TEXT NOT NULL,
    payload TEXT NOT NULL,              -- JSON
    result TEXT,                        -- JSON
    error TEXT,                         -- JSON {type, message, traceback}
    attempt INTEGER NOT NULL,
    attempts_allowed INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    timeout_seconds REAL NOT NULL,
    lease_token INTEGER NOT NULL,
    lease_until INTEGER,
    worker TEXT,
    cancel_requested_at INTEGER,
    cancel_actor TEXT,
    cancel_reason TEXT,
    progress TEXT,                      -- JSON {fraction, message}
    tags TEXT NOT NULL,                 -- JSON list
    unique_key TEXT,
    parent_id TEXT,
    root_id TEXT NOT NULL,
    depends_on TEXT NOT NULL,           -- JSON list
    open_parents INTEGER NOT NULL,
    on_parent_failure TEXT NOT NULL,
    schedule TEXT,
    backoff TEXT NOT NULL,              -- JSON {initial_seconds, factor, maximum_seconds, jitter}
    actor TEXT NOT NULL,
    source TEXT,
    source_id TEXT,
    traceparent TEXT,
    created_at INTEGER NOT NULL,
    queued_at INTEGER,
    run_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    sequence INTEGER NOT NULL
);
CREATE INDEX jobs_claimable ON jobs (queue, priority DESC) WHERE status = 'queued';
CREATE INDEX jobs_due ON jobs (run_at) WHERE status IN ('scheduled', 'retrying');
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_expiring ON jobs (expires_at)
    WHERE expires_at IS NOT NULL AND lease_token = 0 AND status IN ('waiting', 'scheduled', 'queued');
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_type ON jobs (type);
CREATE INDEX jobs_by_queue ON jobs (queue);
CREATE INDEX jobs_by_parent ON jobs (parent_id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique_key ON jobs (type, unique_key)
    WHERE unique_key IS NOT NULL AND status NOT IN ('succeeded', 'failed', 'cancelled');

CREATE TABLE tags (
    tag TEXT NOT NULL,
    job_number INTEGER NOT NULL,
    PRIMARY KEY (tag, job_number)
) WITHOUT ROWID;

-- parent -> child of `depends_on`, for parents that had not ended when the child came; the parent's first end settles it
CREATE TABLE edges (
    parent_id TEXT NOT NULL,
    child_id TEXT NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (parent_id, child_id)
) WITHOUT ROWID;

-- Ended attempts. The running one is the job's own row.
CREATE TABLE attempts (
    job_id TEXT NOT NULL,
    lease_token INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    instance TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,                         -- JSON
    output TEXT,
    PRIMARY KEY (job_id, lease_token)
) WITHOUT ROWID;

-- The feed. One writer, so the row number is commit order; AUTOINCREMENT, so no number is used twice.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    time INTEGER NOT NULL,
    body TEXT NOT NULL,                 -- canonical JSON of the CloudEvent, without its position
    id TEXT GENERATED ALWAYS AS (stream || '/' || sequence) VIRTUAL,
    source TEXT GENERATED ALWAYS AS (json_extract(body, '$.source')) VIRTUAL,
    causation TEXT GENERATED ALWAYS AS (json_extract(body, '$.causation')) VIRTUAL,
    actor TEXT GENERATED ALWAYS AS (json_extract(body, '$.actor')) VIRTUAL
);
CREATE UNIQUE INDEX events_of_stream ON events (stream, sequence);

-- The last sequence of streams that are no job's (a job keeps its own).
CREATE TABLE streams (
    stream TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Steps of `context.once`.
CREATE TABLE effects (
    job_id TEXT NOT NULL,
    step TEXT NOT NULL,
    lease_token INTEGER NOT NULL,
    value TEXT NOT NULL,                -- JSON
    PRIMARY KEY (job_id, step)
) WITHOUT ROWID;

CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    max_running INTEGER,
    rate_per_second REAL,
    paused INTEGER NOT NULL,
    paused_by TEXT,
    paused_at INTEGER,
    tokens REAL NOT NULL,
    tokens_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL,           -- JSON
    paused INTEGER NOT NULL,
    next_at INTEGER,
    last_at INTEGER,
    last_job_id TEXT
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    trigger TEXT NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    headers TEXT NOT NULL,              -- JSON
    kept_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT,
    UNIQUE (trigger, source, event_id)
) WITHOUT ROWID;

CREATE TABLE refusals (
    minute INTEGER NOT NULL,
    subject_type TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    samples TEXT NOT NULL,              -- JSON list of redacted texts
    told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (minute, subject_type, reason)
) WITHOUT ROWID;
CREATE INDEX refusals_untold ON refusals (minute) WHERE told = 0;

CREATE TABLE bulk_operations (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    query TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL                 -- JSON
) WITHOUT ROWID;

-- How far each reader of the feed has come.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE checkpoints (
    position INTEGER PRIMARY KEY,
    as_of INTEGER NOT NULL,
    sums TEXT NOT NULL                  -- JSON
);

-- How many jobs are in each state, kept by the transaction that moves them.
CREATE TABLE counts (
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (queue, type, status)
) WITHOUT ROWID;

-- Statistics, folded from the feed up to the cursor `statistics`.
CREATE TABLE statistics_states (
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (queue, type, status)
) WITHOUT ROWID;
CREATE TABLE statistics_sums (
    minute INTEGER NOT NULL,
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    measure TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, type, measure)
) WITHOUT ROWID;
CREATE TABLE statistics_buckets (
    minute INTEGER NOT NULL,
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    measure TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, type, measure, bucket)
) WITHOUT ROWID;
