-- Alerts that are raised, or will be if they last.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL                 -- JSON
) WITHOUT ROWID;
-- Counted by status, and by when they were kept, without their bodies.
CREATE INDEX dead_letters_by_status ON dead_letters (status, kept_at);
