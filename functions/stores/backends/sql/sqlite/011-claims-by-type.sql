-- A claim that passes over some types goes from type to type, so that a heap of theirs costs it nothing.
CREATE INDEX jobs_claimable_by_type ON jobs (queue, type, priority DESC) WHERE status = 'queued';
