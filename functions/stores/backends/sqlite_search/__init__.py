"""Search on SQLite: an index of jobs in a file of its own beside the data, made from the feed and made anew when it is lost."""

from functions.stores.backends.sqlite_search.search import SqliteSearch

__all__ = ["SqliteSearch"]
