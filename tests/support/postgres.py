"""Databases on the session's PostgreSQL: one laid out once as a template, and a copy of it for each test."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_migrations import migrate
from tests.support import servers

_QUICK = ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "ALTER SYSTEM SET max_connections = 300", "SELECT pg_reload_conf()")
_CUT_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'observatory' AND tablename NOT IN ('deployment', 'migrations')"


class Databases:
    """Databases with names of this process, below the server of `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"observatory_test_{os.getpid()}"
        self._numbers = itertools.count()
        self._template: str | None = None
        self._emptied: str | None = None
        self._admin = psycopg.connect(url, autocommit=True)

    def url(self, name: str) -> str:
        return make_conninfo(**{**conninfo_to_dict(self._url), "dbname": name})

    def execute(self, sql: str) -> Any:
        return self._admin.execute(sql.encode())

    def make(self) -> str:
        """The URL of a new database with the layout."""
        if self._template is None:
            template = f"{self._prefix}_template"
            self.execute(f'CREATE DATABASE "{template}"')
            asyncio.run(migrate(PostgresDatabase(self.url(template))))
            self._template = template
        return self._create(f'TEMPLATE "{self._template}"')

    def bare(self) -> str:
        """The URL of a new database without the layout."""
        return self._create("")

    def _create(self, options: str) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" {options}')
        return self.url(name)

    def empty(self) -> str:
        """The URL of a database that is as new, but for the deployment's source; always the same one, for one test at a time."""
        if self._emptied is None:
            self._emptied = self.make()
            return self._emptied
        with psycopg.connect(self._emptied, autocommit=True) as connection:
            connection.execute(_CUT_OTHERS)
            tables = ", ".join(f"observatory.{name}" for (name,) in connection.execute(_TABLES).fetchall())
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())
            connection.execute("INSERT INTO observatory.head (position) VALUES (0)")
            connection.execute("ALTER SEQUENCE observatory.commit_ids RESTART")
        return self._emptied

    def drop(self, url: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{conninfo_to_dict(url)["dbname"]}" WITH (FORCE)')

    def close(self) -> None:
        for (name,) in self.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{self._prefix}%'").fetchall():
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._admin.close()


@contextmanager
def databases() -> Iterator[Databases]:
    """On the session's server; a server that is the session's own need not be safe from a power cut."""
    found = Databases(servers.server_url("postgres"))
    if servers.REQUIRED:
        for sql in _QUICK:
            found.execute(sql)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[Databases]:
    with databases() as found:
        yield found


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """A new database for one test."""
    url = postgres_databases.make()
    yield url
    postgres_databases.drop(url)
