"""What every `JobStore` does: inherited by the test of each adapter, which brings the fixture `laboratory`."""

from collections.abc import AsyncIterator

import pytest

from contracts.errors import StoreUnavailable
from functions.stores.job_store import JobStore
from tests.ports.job_store.alerts import Alerting
from tests.ports.job_store.families import Families
from tests.ports.job_store.feed import DeadLetters, Life, Lists, Refusals, TheFeed
from tests.ports.job_store.random_life import RandomLives
from tests.ports.job_store.retention import Retaining
from tests.ports.job_store.running import Claims, Effects, Endings, Fencing, Leases, Progressing
from tests.ports.job_store.schedules import DeclaredSchedules, Firings, Misfires, Overlaps, Remembering, RunningNow, Schedules
from tests.ports.job_store.searching import Searching
from tests.ports.job_store.soundness import assert_sound
from tests.ports.job_store.steps import Laboratory
from tests.ports.job_store.submission import Dependencies, Idempotency, Submissions, UniqueKeys
from tests.ports.job_store.wishes import Cancelling, Queues, Reopening, Reports, Time


class JobStoreSuite(
    Submissions, Idempotency, UniqueKeys, Dependencies, Families, Claims, Endings, Fencing, Leases, Effects, Progressing, Cancelling, Reopening, Time,
    Queues, Reports, TheFeed, Lists, DeadLetters, Refusals, Life, RandomLives, Retaining, Searching,
    Schedules, DeclaredSchedules, Firings, Overlaps, Misfires, Remembering, RunningNow, Alerting,
):  # fmt: skip
    """Each test gets an open, empty store with the queues `default` and `bulk`; what it left is checked for soundness."""

    @pytest.fixture
    async def store(self, laboratory: Laboratory) -> AsyncIterator[JobStore]:
        store = await laboratory.open()
        await store.declare_queues([("default", None, None, False), ("bulk", None, None, False)])
        yield store
        try:
            await store.ping()
        except StoreUnavailable:  # the test closed it
            store = await laboratory.open()
        await assert_sound(store)
        await store.close()
