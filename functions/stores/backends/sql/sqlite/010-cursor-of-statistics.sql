-- Where the statistics in this file stand. `cursors` tells of whichever store holds them now, so that both can change places.
CREATE TABLE statistics_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL
);
INSERT INTO statistics_cursor SELECT 1, position FROM cursors WHERE name = 'statistics';
