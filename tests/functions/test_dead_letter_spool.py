"""The dead-letter function while its store is away: letters wait in the spool, and each comes into the store once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts import validation
from contracts.errors import MalformedEvent, ObservatoryError, StoreUnavailable
from contracts.event import Event
from functions.dead_letter import service
from functions.dead_letter.carrier import Carrier
from functions.dead_letter.service import DeadLetterKeeper
from functions.dead_letter.spool import Spool
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.clock import wall_clock
from functions.stores.job_store import DeadLetter
from tests.support.stores import sqlite_store

BODY = b'{"a": \x00\xff'


class Away:
    """In front of a real store, whose answers a test takes away: `faults` are what keeping a letter raises, None lets it through."""

    def __init__(self, store: SqliteJobStore) -> None:
        self._store = store
        self.fault: ObservatoryError | None = None
        self.hangs = False
        self.opens = True
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def open_it(self) -> Any:
        if not self.opens:
            raise StoreUnavailable("away at the start")
        return self

    async def ping(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self.hangs:
            await asyncio.sleep(60)

    async def keep_dead_letter(self, letter: DeadLetter) -> None:
        self.asked += 1
        await self.ping()
        await self._store.keep_dead_letter(letter)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Away]:
    async with sqlite_store(tmp_path) as opened:
        yield Away(opened)


class Begun:
    """A keeper with a spool, its carrier under way."""

    def __init__(self, store: Away, folder: Path, *, pause_seconds: float = 0.01, **bounds: int) -> None:
        spool = Spool(folder, **bounds)
        spool.open()
        self.spool = spool
        self.carrier = Carrier(spool, store.open_it, wall_clock, (pause_seconds, 5 * pause_seconds))
        self.keeper = DeadLetterKeeper(None, pause_seconds=0.01, carrier=self.carrier)

    async def __aenter__(self) -> "Begun":
        self.carrier.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.drain()

    async def send(self, *numbers: int) -> list[int]:
        return [await self.keeper.keep_received("engine", {"content-type": "x/y", "ce-id": str(n)}, BODY, [event(n)]) for n in numbers]

    async def emptied(self) -> None:
        async with asyncio.timeout(20):
            while self.spool.waiting or self.carrier.is_away:
                await asyncio.sleep(0.01)


def event(number: int) -> Event:
    return Event(validation.example("events/job.succeeded.v1") | {"id": f"e{number}", "attempts": "4", "knativeerrorcode": "503"})


async def kept(store: Away) -> Sequence[tuple[str, int, bytes, str]]:
    found = (await store.dead_letters(100, None, None)).items
    return sorted((each.event_id, each.attempts, each.body, each.reason) for each in found)


def expected(*numbers: int) -> Sequence[tuple[str, int, bytes, str]]:
    return [(f"e{n}", 4, BODY, "the subscriber answered 503") for n in numbers]


async def test_letters_of_an_outage_are_acknowledged_and_come_into_the_store_once(store: Away, tmp_path: Path) -> None:
    async with Begun(store, tmp_path / "spool") as begun:
        assert await begun.send(1) == [200]
        store.fault = StoreUnavailable()
        assert await begun.send(2, 3, 3) == [200, 200, 200]  # one comes again
        await begun.keeper.refuse("engine", MalformedEvent("no JSON"), {"content-type": "x/y"}, b"\xff", None)
        await begun.keeper.ready()
        assert begun.spool.waiting == 3 and await kept(store) == expected(1)
        store.fault = None
        await begun.emptied()
        found = await kept(store)
        assert found[:3] == expected(1, 2, 3) and found[3][2:] == (b"\xff", "malformed-event: no JSON")
        assert await begun.send(4) == [200] and begun.spool.waiting == 0
        assert not list((tmp_path / "spool").iterdir())


async def test_nobody_waits_for_a_store_that_is_known_to_be_away(store: Away, tmp_path: Path) -> None:
    async with Begun(store, tmp_path / "spool", pause_seconds=60.0) as begun:
        await begun.send(1)
        store.fault = StoreUnavailable()
        await begun.send(2)
        await asyncio.sleep(0.05)
        asked = store.asked
        assert await begun.send(3, 4, 5) == [200] * 3
        assert store.asked == asked


async def test_a_store_that_says_nothing_holds_a_request_no_longer_than_it_may(store: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TRY_SECONDS", 0.1)
    store.hangs = True
    begun = Begun(store, tmp_path / "spool")
    begun.carrier.store = store  # type: ignore[assignment]
    async with asyncio.timeout(10):
        assert await begun.send(1) == [200]
        await begun.keeper.ready()
    assert begun.spool.waiting == 1


async def test_a_function_whose_store_is_away_at_the_start_takes_letters(store: Away, tmp_path: Path) -> None:
    store.opens = False
    async with Begun(store, tmp_path / "spool") as begun:
        assert await begun.send(1) == [200]
        await begun.keeper.ready()
        with pytest.raises(StoreUnavailable):
            await begun.keeper.discard("x", "eva", "no")
    assert begun.spool.waiting == 1  # also after the end
    store.opens = True
    async with Begun(store, tmp_path / "spool") as begun:  # the next process takes what it finds, at once
        await begun.emptied()
    assert await kept(store) == expected(1)


async def test_a_full_spool_is_503_and_not_ready(store: Away, tmp_path: Path) -> None:
    store.fault = StoreUnavailable()
    async with Begun(store, tmp_path / "spool", letters_max=2) as begun:
        assert await begun.send(1, 2, 3, 2) == [200, 200, 503, 200]
        with pytest.raises(StoreUnavailable, match="full"):
            await begun.keeper.ready()
        with pytest.raises(StoreUnavailable):
            await begun.keeper.refuse("engine", MalformedEvent(), {}, b"", None)
        store.fault = None
        await begun.emptied()
        await begun.keeper.ready()
    assert await kept(store) == expected(1, 2)


async def test_a_letter_that_is_in_the_store_already_is_not_counted_twice(store: Away, tmp_path: Path) -> None:
    """As after a kill between the store's commit and the end of the file."""
    store.fault = StoreUnavailable()
    async with Begun(store, tmp_path / "spool") as begun:
        await begun.send(1)
        (name,) = begun.spool.names()
        content = (tmp_path / "spool" / name).read_bytes()
        store.fault = None
        await begun.emptied()
    (tmp_path / "spool" / name).write_bytes(content)
    async with Begun(store, tmp_path / "spool") as begun:
        await begun.emptied()
    assert await kept(store) == expected(1)


async def test_what_cannot_be_read_or_stored_holds_up_no_other(store: Away, tmp_path: Path) -> None:
    async def refuse_one(letter: DeadLetter) -> None:
        if letter.event_id == "e2":
            raise ObservatoryError("it cannot be stored")
        await store._store.keep_dead_letter(letter)

    store.fault = StoreUnavailable()
    async with Begun(store, tmp_path / "spool") as begun:
        await begun.send(1, 2, 3, 4)
        harmed = next(name for name in begun.spool.names() if begun.spool.read(name).event_id == "e3")  # type: ignore[union-attr]
        (tmp_path / "spool" / harmed).write_bytes(b"odd")
        store.keep_dead_letter = refuse_one  # type: ignore[method-assign]
        store.fault = None
        async with asyncio.timeout(20):
            while begun.spool.waiting > 1:
                await asyncio.sleep(0.01)
        assert await kept(store) == expected(1, 4)
        assert begun.spool.damaged == 1 and (tmp_path / "spool" / f"{harmed}.0.damaged").read_bytes() == b"odd"
        await asyncio.sleep(0.1)
        assert begun.spool.waiting == 1  # the refused one stays
