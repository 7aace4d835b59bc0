"""The relay of several processes over a real store, the bell that rings again, and the Knative publisher over real HTTP.

The Broker's ingress is played by a small HTTP server of the test; the real one is on the cluster, where `make e2e` uses it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from contracts.errors import BrokerUnavailable, NotFound
from contracts.event import Event
from eventing.brokers.knative import KnativePublisher
from eventing.triggers import load_triggers
from functions.runtime.bells import PublishedBell
from functions.runtime.shared_relay import SharedRelay
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.job_store import PUBLISH_CURSOR
from tests.support.stores import run_all, sqlite_store, submit
from tests.support.webhook import Webhook, listening


class PlayedPublisher:
    """Takes what it gets, unless it is away; confirms at once, or when it is told to if it `hesitates`."""

    def __init__(self) -> None:
        self.got: list[Event] = []
        self.is_away = self.hesitates = False
        self.confirmed = 0
        self.room = 1_000
        self._callbacks: list[Callable[[], None]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise BrokerUnavailable("away")
        self.got.extend(events)
        if not self.hesitates:
            self.confirm(events[-1].position)

    def confirm(self, position: int) -> None:
        self.confirmed = max(self.confirmed, position)
        for callback in self._callbacks:
            callback()

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.005)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as opened:
        yield opened


async def same(events: Sequence[Event]) -> Sequence[Event]:
    return events


async def test_every_event_goes_out_in_order_and_the_cursor_follows(store: SqliteJobStore) -> None:
    publisher = PlayedPublisher()
    await submit(store, 3)  # by somebody who died before it could publish
    relay = SharedRelay(store, publisher, same)
    await relay.start()
    await submit(store, 2)
    await run_all(store)
    await relay.settle(10)
    head = await store.head()
    assert [event.position for event in publisher.got] == list(range(1, head + 1))
    assert (await store.cursors())[PUBLISH_CURSOR] == head
    await relay.stop()


async def test_the_cursor_stays_behind_what_the_broker_confirmed(store: SqliteJobStore) -> None:
    """What was only handed over may be lost with the broker, and would never be published again."""
    publisher = PlayedPublisher()
    publisher.hesitates = True
    await submit(store, 3)
    head = await store.head()
    relay = SharedRelay(store, publisher, same)
    await relay.start()
    await until(lambda: len(publisher.got) == head)
    for confirmed in (head - 2, head - 1):
        publisher.confirm(confirmed)
        await asyncio.sleep(0.1)
        assert (await store.cursors()).get(PUBLISH_CURSOR, 0) <= confirmed
    publisher.confirm(head)
    await relay.settle(10)
    assert (await store.cursors())[PUBLISH_CURSOR] == head and len(publisher.got) == head
    await relay.stop()


async def test_of_two_relays_one_publishes_at_a_time(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn is the store's; here it is held by a lock of the test, as PostgreSQL's is by a lock of the server."""
    turn = asyncio.Lock()

    async def take() -> bool:
        if turn.locked():
            return False
        await turn.acquire()
        return True

    async def give() -> None:
        turn.release()

    monkeypatch.setattr(store, "take_turn", take)
    monkeypatch.setattr(store, "give_turn", give)
    publisher = PlayedPublisher()
    relays = [SharedRelay(store, publisher, same) for _ in range(2)]
    for relay in relays:
        await relay.start()
    for _ in range(20):
        await submit(store, 2)
    for relay in relays:
        await relay.settle(10)
    head = await store.head()
    await until(lambda: publisher.confirmed == head)
    assert [event.position for event in publisher.got] == list(range(1, head + 1))  # none twice, none left out
    for relay in relays:
        await relay.stop()


async def test_while_the_broker_is_away_nobody_waits_for_it_and_afterwards_all_goes_out(store: SqliteJobStore) -> None:
    publisher = PlayedPublisher()
    publisher.is_away = True
    relay = SharedRelay(store, publisher, same)
    await relay.start()
    await until(lambda: relay.is_behind)
    await submit(store)
    async with asyncio.timeout(10):
        await relay.settle(60)
    publisher.is_away = False
    head = await store.head()
    await until(lambda: publisher.confirmed == head and not relay.is_behind)
    await relay.stop()


async def test_a_bell_does_not_ring_by_an_event_that_has_no_place_in_the_feed_yet(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PostgreSQL tells of a commit whose process was killed before it got its place: a reader would take the event for a stranger's."""
    publisher, events_of = PlayedPublisher(), store.events_of

    async def without_places(stream: str) -> list[Event]:
        return [Event({name: value for name, value in event.document.items() if name != "position"}) for event in await events_of(stream)]

    await submit(store, 2)
    await store.advance(PUBLISH_CURSOR, await store.head())
    bell = PublishedBell(store, publisher, same, lambda: None)
    monkeypatch.setattr(store, "events_of", without_places)
    await bell.ring_queue("default", 2)
    assert publisher.got == []
    monkeypatch.undo()
    await bell.ring_queue("default", 2)
    assert len(publisher.got) == 2


async def test_a_bell_rings_a_queue_by_events_of_its_jobs_and_readers_by_the_head(store: SqliteJobStore) -> None:
    publisher = PlayedPublisher()
    rung: list[bool] = []
    bell = PublishedBell(store, publisher, same, lambda: rung.append(True))
    await submit(store, 6)
    await bell.ring_queue("default", 6)
    await bell.ring_readers()
    assert publisher.got == []  # what was not published yet rings by itself
    await store.advance(PUBLISH_CURSOR, await store.head())
    await bell.ring_queue("default", 6)
    assert {(event.type.split(".")[-2], event.attribute("queue")) for event in publisher.got} == {("queued", "default")}
    assert 1 <= len(publisher.got) <= 4
    publisher.got.clear()
    await bell.ring_readers()
    assert [event.position for event in publisher.got] == [await store.head()]
    await submit(store, 1)
    await bell.ring_readers()
    assert len(publisher.got) == 2 and publisher.got[0] == publisher.got[1]
    publisher.is_away = True
    await bell.ring_readers()  # the next tick rings again
    bell.ring_relay()
    assert rung == [True]


@pytest.fixture
def ingress() -> Iterator[Webhook]:
    with listening(202) as (played,):
        yield played


async def feed_of(store: SqliteJobStore) -> list[Event]:
    await submit(store, 3)
    return await store.feed(0, 100)


async def test_events_are_posted_to_the_ingress_with_their_attributes(store: SqliteJobStore, ingress: Webhook) -> None:
    events = await feed_of(store)
    publisher = KnativePublisher(ingress.url)
    await publisher.publish(events)
    assert sorted(taken["id"] for taken in ingress.taken) == sorted(event.id for event in events)
    assert {taken["queue"] for taken in ingress.taken if taken["type"].endswith("job.queued.v1")} == {"default"}  # Triggers filter by it
    assert publisher.confirmed == events[-1].position
    await publisher.stop()


async def test_a_broker_that_is_away_for_a_moment_is_asked_again(store: SqliteJobStore, ingress: Webhook) -> None:
    ingress.status = 503
    events = await feed_of(store)
    publisher = KnativePublisher(ingress.url)
    publishing = asyncio.ensure_future(publisher.publish(events))
    await asyncio.sleep(0.1)  # less than its pauses take
    ingress.status = 202
    await publishing
    assert publisher.confirmed == events[-1].position
    await publisher.stop()


async def test_what_the_broker_does_not_take_is_not_confirmed_nor_what_stands_behind_it(store: SqliteJobStore, ingress: Webhook) -> None:
    events = await feed_of(store)
    publisher = KnativePublisher(ingress.url)
    await publisher.publish(events[:2])
    ingress.status = 503
    with pytest.raises(BrokerUnavailable, match="did not take 5 of 5"):
        await publisher.publish(events[2:])
    assert publisher.confirmed == events[1].position
    ingress.status = 202
    await publisher.publish(events[2:])
    assert publisher.confirmed == events[-1].position and publisher.room == 1_000
    await publisher.stop()


async def test_a_single_delivery_needs_a_trigger_that_exists(store: SqliteJobStore) -> None:
    publisher = KnativePublisher("http://127.0.0.1:9/", load_triggers())
    with pytest.raises(NotFound, match="can only be discarded"):
        await publisher.deliver_alone("gone", (await feed_of(store))[0])
    await publisher.stop()
