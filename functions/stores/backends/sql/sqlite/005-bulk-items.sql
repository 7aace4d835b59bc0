-- Whom a bulk operation is for, found when it began: 16 bytes a job, NULL once it is finished.
DROP TABLE bulk_operations;
CREATE TABLE bulk_operations (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    query TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    state TEXT NOT NULL,                -- JSON
    items BLOB
);
CREATE INDEX bulk_operations_open ON bulk_operations (id) WHERE items IS NOT NULL;
