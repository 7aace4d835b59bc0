-- Payload schemas that mark secrets, also of tasks that have changed since or gone: what they hid stays hidden.
CREATE TABLE secret_schemas (
    type TEXT NOT NULL,
    schema TEXT NOT NULL,               -- canonical JSON
    PRIMARY KEY (type, schema)
) WITHOUT ROWID;
