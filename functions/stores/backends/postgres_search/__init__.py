"""Search on PostgreSQL: the index in unlogged tables beside the jobs, made from the feed by one process for all."""

from functions.stores.backends.postgres_search.search import PostgresSearch

__all__ = ["PostgresSearch"]
