"""The layout of the database: numbered steps, each applied once, by one process at a time."""

import logging
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from contracts.errors import ConfigurationError
from functions.stores.backends.postgres_database import PostgresDatabase, answering, words_of
from functions.stores.backends.postgres_statements import MIGRATIONS

log = logging.getLogger("observatory.postgres")
LEAST_VERSION = 15
MIGRATE_SECONDS = 600.0
_LOCK = b"SELECT pg_advisory_xact_lock(7041958, 0)"
_HAS_BOOK = b"SELECT to_regclass('observatory.migrations') IS NOT NULL"
_NEWEST = b"SELECT coalesce(max(number), 0) FROM observatory.migrations"
_REMEMBER = b"INSERT INTO observatory.migrations (number, name) VALUES (%s, %s)"
_BOOK = b"""CREATE SCHEMA IF NOT EXISTS observatory;
CREATE TABLE observatory.migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


def steps() -> list[tuple[int, Path]]:
    """The migrations of this version, in order."""
    return [(int(path.name.split("-")[0]), path) for path in sorted(MIGRATIONS.glob("[0-9]*.sql"))]


async def migrate(database: PostgresDatabase) -> list[str]:
    """Applies what is missing, all or nothing; returns the names. Raises ConfigurationError, StoreUnavailable."""
    return await _with_connection(database, _apply)


async def check(database: PostgresDatabase) -> None:
    """Raises ConfigurationError when the layout is not this version's; StoreUnavailable."""
    await _with_connection(database, _check)


async def _with_connection(database: PostgresDatabase, work: Any) -> Any:
    link = database.link(statement=MIGRATE_SECONDS, lock=MIGRATE_SECONDS)
    try:
        with answering():
            connection = await link.connection()
            _check_server(database, connection)
            async with connection.transaction():
                return await work(database, connection)
    except psycopg.Error as error:
        raise ConfigurationError(
            f"the layout of {database.place} cannot be brought up to date: {words_of(error)}; `make migrate` does it by itself, as a role that"
            " may create the schema `observatory` there"
        ) from error
    finally:
        await link.drop()


async def _apply(database: PostgresDatabase, connection: AsyncConnection[Any]) -> list[str]:
    await connection.execute(_LOCK)
    if not await _one(connection, _HAS_BOOK):
        await connection.execute(_BOOK, prepare=False)
    known = await _one(connection, _NEWEST)
    _check_not_newer(database, known)
    applied = []
    for number, path in steps():
        if number > known:
            await connection.execute(path.read_bytes(), prepare=False)
            await connection.execute(_REMEMBER, (number, path.stem))
            applied.append(path.stem)
    if applied:
        log.info("%s has a new layout: %s", database.place, ", ".join(applied), extra={"action": "postgres.migrated"})
    return applied


async def _check(database: PostgresDatabase, connection: AsyncConnection[Any]) -> None:
    known = await _one(connection, _NEWEST) if await _one(connection, _HAS_BOOK) else 0
    _check_not_newer(database, known)
    newest = steps()[-1][0]
    if known < newest:
        raise ConfigurationError(f"{database.place} has layout {known}, and this version needs {newest}: run `make migrate`, or let it happen at the"
                                 " start with OBSERVATORY_MIGRATE=1")  # fmt: skip


def _check_server(database: PostgresDatabase, connection: AsyncConnection[Any]) -> None:
    version = connection.info.server_version
    if version < LEAST_VERSION * 10_000:
        raise ConfigurationError(f"{database.place} is PostgreSQL {version // 10_000}; {LEAST_VERSION} or later is needed")


def _check_not_newer(database: PostgresDatabase, known: int) -> None:
    newest = steps()[-1][0]
    if known > newest:
        raise ConfigurationError(f"{database.place} has layout {known}, and this version knows layouts up to {newest}: start a version at least as"
                                 " new as the one that made it")  # fmt: skip


async def _one(connection: AsyncConnection[Any], sql: bytes) -> Any:
    row = await (await connection.execute(sql)).fetchone()
    return None if row is None else row[0]
