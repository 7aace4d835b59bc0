-- What one at a time may do, and until when whoever does it has it: another takes it only when that has passed.
CREATE TABLE holds (
    name TEXT PRIMARY KEY,              -- deadletter/ID, bulk/ID
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
