"""The searching suite with an index that has come all the way, half the way, and nowhere.

An adapter's test mixes `Stepwise` into its store, inherits `StepwiseSearching`, and brings the fixture `laboratory`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from contracts.query import Query
from functions.stores.job_store import JobPage, JobStore
from functions.stores.search.bits import BLOCK
from tests.ports.job_store.searching import Searching
from tests.ports.job_store.steps import Laboratory

FIRST_NUMBER = 2 * BLOCK - 20  # jobs from there on lie on both sides of a border between two blocks of the index


class Stepwise:
    """Its index goes on only before queries, and then as far as `progress` says: to the head, somewhere, or not at all."""

    progress = "head"
    dice = random.Random(7)

    async def open_search(self: Any, shown: Callable[[str, Any], Any], version: str) -> None:
        await self.search.open(shown, f"{self.source} {version}", follow=False)

    async def jobs(self: Any, where: Query, limit: int, cursor: str | None) -> JobPage:
        follower = self.search.follower
        if follower is not None and (self.progress == "head" or (self.progress == "somewhere" and self.dice.random() < 0.3)):
            await asyncio.to_thread(_go_on, follower)
        return await super().jobs(where, limit, cursor)  # type: ignore[misc]


def _go_on(follower: Any) -> None:
    follower.hurry()
    assert follower._is_ours()
    while follower.follow() or follower.fill():
        pass


class StepwiseSearching(Searching):
    @pytest.fixture(params=["head", "somewhere", "nowhere"])
    def progress(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    async def store(self, laboratory: Laboratory) -> AsyncIterator[JobStore]:
        store = await laboratory.open()
        await store.declare_queues([("default", None, None, False), ("bulk", None, None, False)])
        yield store
        await store.close()
