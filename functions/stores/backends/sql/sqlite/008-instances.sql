-- Instances of functions, for those who watch them come and go; a record is dropped with the statistics' old minutes.
CREATE TABLE instances (
    instance TEXT NOT NULL,
    function TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    first_request_at INTEGER,
    stopped_at INTEGER,
    start_seconds REAL,
    PRIMARY KEY (function, instance)
) WITHOUT ROWID;
