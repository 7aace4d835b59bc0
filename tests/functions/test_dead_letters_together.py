"""Replays of dead letters by several processes of one system: whoever works on something holds it, so each letter is delivered once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import Conflict, StoreUnavailable
from contracts.event import Event
from functions.dead_letter.service import DeadLetterKeeper
from functions.runtime import holding
from functions.runtime.bells import SilentBell
from functions.runtime.bulk import Bulk
from functions.runtime.bulk_letters import Letters
from functions.runtime.dead_letters import letter_of
from functions.scheduler.service import Scheduler
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.bulk import BulkOperation
from tests.support.stores import sqlite_store, submit

LETTERS = 25


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        await submit(store, LETTERS)
        for event in await store.feed(0, 1_000):
            if event.type.endswith("queued.v1"):
                headers = {"content-type": "application/cloudevents+json"}
                await store.keep_dead_letter(letter_of("hook", "the subscriber answered 500", headers, event.canonical(), event, store.now()))
        yield store


class Hook:
    """A subscriber that takes its time."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds, self.taken = seconds, Counter[str]()

    async def take(self, trigger: str, event: Event) -> tuple[int, str]:
        self.taken[event.id] += 1
        await asyncio.sleep(self.seconds)
        return 200, ""

    def process(self, store: SqliteJobStore) -> Bulk:
        """One that can reach it."""

        async def letters() -> Letters:
            return DeadLetterKeeper(store, deliver=self.take)

        return Bulk(store, letters)


async def ids(store: SqliteJobStore) -> list[str]:
    return [letter.id for letter in (await store.dead_letters(100, None, None)).items]


async def finished(store: SqliteJobStore, operation: BulkOperation, *processes: Bulk) -> dict[str, int]:
    """The outcomes, while each of these looks again and again for what is to be done."""

    async def tick(bulk: Bulk) -> None:
        while True:
            await bulk.resume()
            await asyncio.sleep(0.01)

    ticking = [asyncio.create_task(tick(bulk)) for bulk in processes]
    async with asyncio.timeout(30):
        while (state := (await store.bulk(operation.id)).state).finished_at is None:
            await asyncio.sleep(0.01)
    for task in ticking:
        task.cancel()
    await asyncio.gather(*ticking, return_exceptions=True)
    return state.outcomes


async def test_what_one_process_replays_no_other_goes_on_with(store: SqliteJobStore) -> None:
    hook = Hook()
    front, scheduler = hook.process(store), hook.process(store)
    operation = await front.begin("replay", "", "anna", None)
    assert await finished(store, operation, scheduler, front) == {"done": LETTERS}
    assert set(hook.taken.values()) == {1} and hook.taken.total() == LETTERS


async def test_two_operations_on_the_same_letters_deliver_each_once(store: SqliteJobStore) -> None:
    hook = Hook()
    one, other = hook.process(store), hook.process(store)
    begun = await asyncio.gather(one.begin("replay", "status:kept", "anna", None), other.begin("replay", "status:kept", "boris", None))
    outcomes = Counter(await finished(store, begun[0])) + Counter(await finished(store, begun[1]))
    assert outcomes == {"done": LETTERS, "conflict": LETTERS}
    assert set(hook.taken.values()) == {1} and hook.taken.total() == LETTERS


async def test_of_two_who_replay_a_letter_at_once_one_does(store: SqliteJobStore) -> None:
    hook, letter = Hook(), (await ids(store))[0]
    keepers = [DeadLetterKeeper(store, deliver=hook.take) for _ in range(2)]
    answers = await asyncio.gather(*(keeper.replay(letter, "anna", None) for keeper in keepers), return_exceptions=True)
    assert sorted(type(answer) for answer in answers if isinstance(answer, Exception)) == [Conflict]
    assert hook.taken.total() == 1
    assert (await keepers[0].replay(letter, "anna", "once more")).status == "replayed"  # whoever asks later is obeyed
    assert hook.taken.total() == 2


async def test_a_replay_that_fails_lets_the_letter_go(store: SqliteJobStore) -> None:
    async def away(trigger: str, event: Event) -> tuple[int, str]:
        raise StoreUnavailable

    letter, hook = (await ids(store))[0], Hook()
    with pytest.raises(StoreUnavailable):
        await DeadLetterKeeper(store, deliver=away).replay(letter, "anna", None)
    assert (await DeadLetterKeeper(store, deliver=hook.take).replay(letter, "anna", None)).status == "replayed"


async def test_an_operation_whose_process_died_is_gone_on_with_once_its_lease_ran_out(store: SqliteJobStore) -> None:
    hook = Hook(0)
    operation = await Bulk(store).begin("replay", "", "anna", None)  # reaches no subscribers, so it waits
    await asyncio.sleep(0.1)
    await store.hold(f"bulk/{operation.id}", "who died", 3.0)
    scheduler = hook.process(store)
    await scheduler.resume()
    assert hook.taken.total() == 0
    await asyncio.sleep(3.0)  # its lease: time itself is what is tested
    assert await finished(store, operation, scheduler) == {"done": LETTERS}
    assert set(hook.taken.values()) == {1}


async def test_a_process_that_stops_ends_the_letter_in_hand_and_hands_its_operation_over_at_once(store: SqliteJobStore) -> None:
    hook = Hook(0.1)
    front, other = hook.process(store), hook.process(store)
    scheduler = Scheduler(store, SilentBell(), bulk=front)
    operation = await front.begin("replay", "", "anna", None)
    async with asyncio.timeout(10):
        while hook.taken.total() < 3:
            await asyncio.sleep(0.01)
    await scheduler.drain()
    assert 3 <= (await store.bulk(operation.id)).state.done == hook.taken.total() < LETTERS
    hook.seconds, begun = 0.0, asyncio.get_running_loop().time()
    assert await finished(store, operation, other, front) == {"done": LETTERS}
    assert asyncio.get_running_loop().time() - begun < holding.HELD_SECONDS / 2
    assert set(hook.taken.values()) == {1} and hook.taken.total() == LETTERS


async def test_a_hold_outlives_its_first_term_while_the_work_goes_on(store: SqliteJobStore) -> None:
    async with holding.holding(store, "bulk/1", "anna", 1.0) as hold:
        await asyncio.sleep(2.5)  # longer than its term: time itself is what is tested
        assert hold is not None and hold.is_held
        assert not await store.hold("bulk/1", "boris", 1)
    assert await store.hold("bulk/1", "boris", 1)


async def test_whoever_was_stopped_past_its_lease_begins_nothing_more(store: SqliteJobStore) -> None:
    hook = Hook(0.5)
    operation = await Bulk(store).begin("replay", "", "anna", None)
    await asyncio.sleep(0.1)
    hold = holding.Hold(store, f"bulk/{operation.id}", "sleeper", 2.0)
    assert await hold.take()
    assert await hook.process(store)._steps(operation, hold) is None  # nobody renews it
    assert 0 < hook.taken.total() <= 6
