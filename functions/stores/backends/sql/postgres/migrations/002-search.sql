-- The search index: sets of jobs by terms, 4,096 jobs a block (functions/stores/search). It follows the feed off the writers' way
-- and can be made anew at any time, so it is not logged: nothing of it goes through the WAL, and after a crash it begins anew.
-- Terms are bytes: a value of a payload may hold what text may not.
CREATE UNLOGGED TABLE observatory.search_progress (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    made_of text NOT NULL,              -- format, deployment and version of what may be seen
    position bigint NOT NULL,           -- every job is as it was at this position, or newer
    first_block integer NOT NULL        -- blocks below are not there yet
) WITH (fillfactor = 10);
-- Terms that many jobs share: read whole, so ordered by term. Rows are written again and again as their block fills.
CREATE UNLOGGED TABLE observatory.search_labels (
    term bytea NOT NULL,
    block integer NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (term, block)
) WITH (fillfactor = 50);
-- All others: ordered by block, so that what is written lies together.
CREATE UNLOGGED TABLE observatory.search_words (
    block integer NOT NULL,
    term bytea NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (block, term)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- Numbers to compare with: attempt, duration.
CREATE UNLOGGED TABLE observatory.search_slices (
    kind text COLLATE "C" NOT NULL,
    block integer NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (kind, block)
) WITH (fillfactor = 50);
