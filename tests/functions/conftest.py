"""A job store with its statistics, and the engine that folds them; a worker pool that is watched."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.metrics_engine.service import MetricsEngine
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from tests.support.stores import sqlite_store
from tests.support.worker_pool import Watched, running


@pytest.fixture
async def jobs(quick_folder: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(quick_folder) as store:
        yield store


@pytest.fixture
def stats(jobs: SqliteJobStore) -> SqliteStatsStore:
    return SqliteStatsStore(jobs.database)


@pytest.fixture
def engine(jobs: SqliteJobStore, stats: SqliteStatsStore) -> MetricsEngine:
    return MetricsEngine(jobs, stats)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with running() as watched:
        yield watched
