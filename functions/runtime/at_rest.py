"""Stores at rest, for the command line: read beside a running system, mended or carried over while none runs, migrated."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from contracts.errors import ConfigurationError, DataFolderInUse
from functions.runtime import adapters
from functions.runtime.data_folder import DataFolder
from functions.runtime.settings import Settings

if TYPE_CHECKING:
    from functions.stores.job_store import JobStore
    from functions.stores.stats_store import StatsStore


def _folder_with_data(settings: Settings) -> DataFolder:
    """Raises ConfigurationError when there is none."""
    folder = DataFolder(settings.data_folder)
    if not folder.database.exists():
        raise ConfigurationError(f"there is no data in {settings.data_folder.resolve()}; name the folder with OBSERVATORY_DATA")
    return folder


@contextlib.contextmanager
def _held(folder: DataFolder, then: str) -> Iterator[None]:
    """Raises DataFolderInUse while a system runs on it, saying what is to be done `then`."""
    try:
        folder.acquire()
    except DataFolderInUse:
        raise DataFolderInUse(f"the system is running on this data folder; stop it first (make stop), then {then}") from None
    try:
        yield
    finally:
        folder.release()


async def stores_at_rest(settings: Settings) -> "tuple[JobStore, StatsStore]":
    """The stores of the settings, not opened: they can be read beside a running system. Raises ConfigurationError when there are
    none, StoreUnavailable."""
    if not settings.postgres_url:
        _folder_with_data(settings)
    store = adapters.job_store(settings, "observatory audit")
    await store.identify()
    return store, adapters.stats_store(settings, store)


@contextlib.asynccontextmanager
async def alone(settings: Settings, store: Any) -> AsyncIterator[None]:
    """Keeps every system off the stores of the settings while they are mended, and opens them. Raises DataFolderInUse while one runs."""
    if settings.postgres_url:
        from functions.stores.backends.postgres_alone import Alone

        lock = Alone(store.database)
        try:
            await lock.take()
            store.keep_alone()
            await store.open()
            yield
        finally:
            await lock.give()
        return
    with _held(_folder_with_data(settings), "try again"):
        await store.open()
        yield


async def carry_over(settings: Settings, progress: Callable[[str, int, int], None], *, dry_run: bool) -> dict[str, Any]:
    """Carries the data folder over into the PostgreSQL of the settings; what was carried, or would be. Raises ConfigurationError (also
    DataFolderInUse) for what is to be mended first, StoreUnavailable; then another run goes on where this one was."""
    if not settings.postgres_url:
        raise ConfigurationError("there is no PostgreSQL to carry the data over to: name an empty database with OBSERVATORY_POSTGRES_URL")
    from functions.stores import faults
    from functions.stores.backends.postgres_database import PostgresDatabase
    from functions.stores.backends.sqlite_to_postgres import Carrier

    if settings.test_kill:
        faults.arm(settings.test_kill)
    folder = _folder_with_data(settings)
    with _held(folder, "carry it over"):
        database = PostgresDatabase(settings.postgres_url, application="observatory migrate-data")
        carrier = Carrier(folder.database, database, progress, migrate=settings.migrate)
        report = await (carrier.rehearse() if dry_run else carrier.carry())
        if not dry_run:
            folder.mark_carried_over(f"PostgreSQL at {report.place}")
        return report.as_json()


async def migrate_postgres(settings: Settings) -> tuple[str, list[str]]:
    """Brings the layout of the PostgreSQL of the settings up to date: where it is, and what was applied. Raises ConfigurationError,
    StoreUnavailable."""
    if not settings.postgres_url:
        raise ConfigurationError("there is no PostgreSQL to migrate: name it with OBSERVATORY_POSTGRES_URL (SQLite is migrated at every start)")
    from functions.stores.backends.postgres_database import PostgresDatabase
    from functions.stores.backends.postgres_migrations import migrate

    database = PostgresDatabase(settings.postgres_url, application="observatory migrate")
    return database.place, await migrate(database)
