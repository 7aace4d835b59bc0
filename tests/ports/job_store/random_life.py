"""Random lives: many writers at once do anything that the port allows, in any order."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts.errors import ObservatoryError
from contracts.job import Job, JobStatus
from functions.stores.job_store import JobStore, Submitted
from tests.ports.job_store.steps import SECOND, Laboratory, claimed, ending, lease, request

QUEUES = [("default", None, None, False), ("bulk", 2, None, False), ("slow", None, 3.0, False)]
OUTCOMES = ["succeeded"] * 5 + ["failed"] * 4 + ["permanent", "timed_out", "worker_died", "snoozed", "snoozed", "cancelled"]


class RandomLife:
    """Everything that it does follows from `seed`. It remembers old leases, and goes on using them."""

    def __init__(self, store: JobStore, laboratory: Laboratory, seed: int) -> None:
        self._store, self._laboratory, self._dice = store, laboratory, random.Random(seed)
        self._jobs: list[str] = []
        self._claims: list[Job] = []
        self._keys = [f"key:{n}" for n in range(12)]
        self.refused: list[ObservatoryError] = []

    async def live(self, rounds: int) -> None:
        """So many rounds; in each some writers act at once, and then time may pass."""
        await self._store.declare_queues(QUEUES)
        acts: list[Callable[[], Awaitable[Any]]] = [
            *[self._submit] * 4, *[self._claim] * 5, *[self._end] * 5, self._cancel, self._reopen, self._tick, self._tick,
            self._renew, self._release, self._progress, self._effect, self._pause,
        ]  # fmt: skip
        for _ in range(rounds):
            await asyncio.gather(*(self._dare(self._dice.choice(acts)) for _ in range(self._dice.randint(1, 6))))
            if self._dice.random() < 0.4:
                self._laboratory.pass_seconds(self._dice.choice([0.1, 1, 5, 20]))

    async def finish(self) -> None:
        """Brings every job to its end."""
        for queue, *_ in QUEUES:
            await self._store.set_paused(queue, False, "anna", None)
        for _ in range(200):
            self._laboratory.pass_seconds(60)
            await self._store.tick()
            for queue, *_ in QUEUES:
                self._claims += await claimed(self._store, 50, queue)
            await self._store.end_attempts([ending(job) for job in self._claims])
            if not await self._live_jobs():
                return
        raise AssertionError(f"these jobs come to no end: {await self._live_jobs()}")

    async def _live_jobs(self) -> dict[tuple[str, str, str], int]:
        return {cell: jobs for cell, jobs in (await self._store.counts()).items() if jobs and not JobStatus(cell[2]).is_terminal}

    async def _dare(self, act: Callable[[], Awaitable[Any]]) -> None:
        try:
            answers = await act()
        except ObservatoryError as error:
            answers = [error]
        self.refused += [answer for answer in answers or () if isinstance(answer, ObservatoryError)]

    async def _submit(self) -> Any:
        answers = await self._store.submit([self._request(index) for index in range(self._dice.choice([1, 1, 2, 5]))])
        self._jobs += [answer.id for answer in answers if isinstance(answer, Submitted)]
        return answers

    def _request(self, index: int) -> Any:
        dice, now = self._dice, self._store.now()
        options: dict[str, Any] = {"queue": dice.choice(QUEUES)[0], "priority": dice.randint(0, 9), "max_attempts": dice.randint(1, 3)}
        if dice.random() < 0.3:
            options |= {"keys": (dice.choice(self._keys),), "fingerprint": bytes([dice.randint(0, 2)])}
        if dice.random() < 0.2:
            options["unique_key"] = dice.choice("abc")
        if dice.random() < 0.2:
            options["run_at"] = now + dice.randint(-5, 20) * SECOND
        if dice.random() < 0.2:
            options["expires_at"] = now + dice.randint(1, 20) * SECOND
        if self._jobs and dice.random() < 0.3:
            options["depends_on"] = list(dict.fromkeys(dice.choices(self._jobs[-20:], k=dice.randint(1, 3)) + [f"#{index - 1}"] * (index > 0)))
            options["on_parent_failure"] = dice.choice(["cancel", "run"])
        if self._jobs and dice.random() < 0.1:
            options["parent_id"] = dice.choice(self._jobs)
        if dice.random() < 0.05:
            options["depends_on"] = ["00000000-0000-7000-8000-000000000000"]
        return request(dice.choice(["demo.noop", "demo.fail"]), payload={"n": dice.random()}, **options)

    async def _claim(self) -> None:
        self._claims += await claimed(self._store, self._dice.randint(1, 4), self._dice.choice(QUEUES)[0])

    async def _end(self) -> Any:
        jobs = self._old_claims(4)
        after = self._dice.choice([None, 0.0, 3.0])
        return await self._store.end_attempts([ending(job, self._dice.choice(OUTCOMES), after_seconds=after) for job in jobs])

    def _old_claims(self, most: int) -> list[Job]:
        return self._dice.sample(self._claims[-8:], min(len(self._claims), self._dice.randint(0, most), 8))

    async def _renew(self) -> None:
        await self._store.renew([lease(job) for job in self._old_claims(4)], 15)

    async def _release(self) -> None:
        await self._store.release([lease(job) for job in self._old_claims(2)], "drain")

    async def _progress(self) -> None:
        for job in self._old_claims(1):
            await self._store.progress(*lease(job), {"fraction": 0.5, "message": None})

    async def _effect(self) -> None:
        for job in self._old_claims(1):
            await self._store.effect(*lease(job), self._dice.choice("ab"), self._dice.random())

    async def _cancel(self) -> Any:
        return await self._store.cancel(self._some_jobs(), "anna", None)

    async def _reopen(self) -> Any:
        return await self._store.reopen(self._some_jobs(), "berta", None)

    def _some_jobs(self) -> list[str]:
        return self._dice.sample(self._jobs, min(len(self._jobs), 2))

    async def _tick(self) -> None:
        await self._store.tick(limit=self._dice.choice([2, 500]))

    async def _pause(self) -> None:
        await self._store.set_paused(self._dice.choice(QUEUES)[0], self._dice.random() < 0.3, "anna", None)


class RandomLives:
    """What such a life leaves is checked for soundness after the test, as everywhere."""

    @pytest.mark.parametrize("seed", range(12))
    async def test_a_random_life_comes_to_a_sound_end(self, laboratory: Laboratory, store: JobStore, seed: int) -> None:
        life = RandomLife(store, laboratory, seed)
        await life.live(80)
        assert {error.status for error in life.refused} <= {404, 409, 422}, life.refused
        await life.finish()
