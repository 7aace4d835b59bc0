"""The metrics engine: brings statistics and event log up to the head of the feed."""
