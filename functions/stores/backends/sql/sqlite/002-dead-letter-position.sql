-- Where in the feed the event of a dead letter stands, so that one whose reader has passed it can be marked resolved.
ALTER TABLE dead_letters ADD COLUMN position INTEGER;
CREATE INDEX dead_letters_kept ON dead_letters (trigger) WHERE status = 'kept';
