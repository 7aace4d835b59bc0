-- Where the statistics in this database stand. `cursors` tells of whichever store holds them now, so that both can change places.
-- What is here may be older than that cursor said, so it is folded anew.
CREATE TABLE observatory.statistics_cursor (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position bigint NOT NULL
) WITH (fillfactor = 10);
TRUNCATE observatory.statistics_states, observatory.statistics_sums, observatory.statistics_buckets;
