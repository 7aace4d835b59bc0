-- Of a data folder that is carried over into this database (`console migrate-data`): which one, as it was found, and how far it is
-- here. While that is under way `deployment` has no row, so that nothing starts on half of it.
CREATE TABLE observatory.carried (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    source text NOT NULL,
    found text NOT NULL,                -- JSON {head, dropped, rows: {table: rows}}
    done text NOT NULL,                 -- JSON {table: {rows, last}}: how many rows are here, and the key of the last
    begun_at bigint NOT NULL,
    ended_at bigint
) WITH (fillfactor = 50);
