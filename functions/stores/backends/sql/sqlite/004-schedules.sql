-- A tick asks for the schedules that are due, and when the next one is.
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
