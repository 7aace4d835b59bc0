-- What one at a time may do, and until when whoever does it has it: another takes it only when that has passed.
CREATE TABLE observatory.holds (
    name text PRIMARY KEY,              -- deadletter/ID, bulk/ID
    holder text NOT NULL,
    until bigint NOT NULL
);
