"""Logs and metrics: how the system says what it does."""
