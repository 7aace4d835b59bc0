"""Folding the log: forwards, in batches, and with its streams in any order, the same to the byte."""

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.event import Event
from contracts.folding import COMPARED, fold_job
from contracts.statistics import Delta, fold, merge
from tests.support.stores import mixed_life, sqlite_store


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The log of a life with some of everything."""
    import asyncio

    async def live(folder: Path) -> list[Event]:
        async with sqlite_store(folder) as store:
            await mixed_life(store)
            return await store.feed(0, 10_000)

    return asyncio.run(live(tmp_path_factory.mktemp("log")))


def streams(events: list[Event]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in events:
        found.setdefault(event.subject or "", []).append(event.document)
    return {stream: documents for stream, documents in found.items() if stream.startswith("job/")}


def table(events: list[Event]) -> bytes:
    """The job table and the timelines of a log, canonical."""
    folded = {stream: fold_job(documents) for stream, documents in streams(events).items()}
    assert not any(entry.faults for entry in folded.values())
    rows = {
        stream: {"job": {name: getattr(entry.job, name) for name in COMPARED}, "attempts": [vars_of(a) for _, a in sorted(entry.attempts.items())]}
        for stream, entry in folded.items()
    }
    return orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)


def vars_of(attempt: Any) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in attempt.__dataclass_fields__}


def statistics(delta: Delta) -> bytes:
    return orjson.dumps(delta.as_json(), option=orjson.OPT_SORT_KEYS)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
def test_any_order_and_any_batches_give_the_same_bytes(log: list[Event], seed: int, size: int) -> None:
    shuffled = random.Random(seed).sample(log, len(log))
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert statistics(merge(*(fold(batch) for batch in batches))) == statistics(fold(log))
    interleaved = sorted(shuffled, key=lambda event: int(event.document["sequence"]))  # streams mixed, each in its order
    assert table(interleaved) == table(log)


def test_an_event_that_is_missing_or_out_of_place_is_named(log: list[Event]) -> None:
    documents = max(streams(log).values(), key=len)
    assert fold_job(documents).faults == []
    for gone in range(len(documents) - 1):
        assert fold_job(documents[:gone] + documents[gone + 1 :]).faults
    assert fold_job(documents[1:2] + documents[:1]).faults
