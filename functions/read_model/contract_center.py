"""The contract centre: what is promised, what was refused for breaking it, and what a proposed schema would refuse."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from contracts.catalogue import Catalogue
from contracts.errors import ContractViolation, Fault
from contracts.event import Event
from contracts.event_types import EventType
from contracts.query import Query, query_of
from contracts.statistics import ALL_TIME, Window
from functions.read_model import contract_list
from functions.read_model.trials import MOST_BYTES, Trials
from functions.runtime.redaction import Redactor
from functions.stores.job_store import JobStore
from functions.stores.stats_store import StatsStore

REFUSALS = 100
LATELY_MINUTES = 60
PAGE = 500
SEARCH_SECONDS = 2.0
CHARACTERS = 2_000

Document = dict[str, Any]
Found = tuple[Any, Document]
"""A document to be judged, redacted, and what tells which one it is."""


class ContractCenter:
    """`catalogue` and `redactor` are those of the moment."""

    def __init__(self, store: JobStore, stats: StatsStore, trials: Trials | None = None) -> None:
        self._store, self._stats = store, stats
        self._trials = trials or Trials()

    async def shown(self, catalogue: Catalogue, subject_type: str | None) -> Document:
        """Every contract, and the newest refusals (of one type, if it is named) with their samples."""
        window = Window(LATELY_MINUTES, self._store.now())
        ever, lately = (await self._stats.read([(ALL_TIME, ALL_TIME), (window.first, window.last)])).ranges
        counts = [{name: figures.total("refused") for name, figures in part.by_type().items()} for part in (ever, lately)]
        known = subject_type is None or subject_type == "unknown" or subject_type in catalogue
        return {"items": contract_list.contracts(catalogue, *counts), "refusals": await self._store.refusals(REFUSALS, subject_type) if known else []}

    # ---- trying a schema out ------------------------------------------------------------------------------------

    async def check(self, catalogue: Catalogue, redactor: Redactor, name: str, schema: Any, last: int) -> Document:
        """How many of the `last` documents of a contract a schema would refuse, and why. Raises ContractViolation, Overloaded."""
        kind, found, complete = await self._documents(catalogue, redactor, name, last)
        told = await self._trials.run(schema, [document for document, _ in found])
        present = contract_list.contract(catalogue, name)
        return {
            "name": name,
            "kind": kind,
            "checked": len(found),
            "complete": complete,
            "refused": told["refused"],
            "words": _in_words(told["refused"], len(found), kind),
            "faults": told["faults"],
            "examples": [_example(found[example["index"]], example["faults"]) for example in told["examples"]],
            "same_as_now": schema == present,
        }

    async def _documents(self, catalogue: Catalogue, redactor: Redactor, name: str, last: int) -> tuple[str, list[Found], bool]:
        """The kind of the contract, what there is of it, newest first, and whether that is all that was asked for."""
        event_type = contract_list.event_type(name)
        if event_type is not None and event_type.logged:
            return "event", *await self._events(redactor, event_type, last)
        if name in catalogue:
            return "task", *await self._jobs(redactor, query_of("type", [name]), last, payloads=True)
        if name == "job":
            return "document", *await self._jobs(redactor, Query(), last, payloads=False)
        raise ContractViolation(f"{name[:100]!r} cannot be tried out", faults=[Fault(
            "/name", "takes a task type, an event type of the log, or job: of nothing else is kept what a schema could be held against")])  # fmt: skip

    async def _jobs(self, redactor: Redactor, where: Query, last: int, *, payloads: bool) -> tuple[list[Found], bool]:
        gathered, cursor = _Gathered(last), None
        while gathered.wants_more:
            page = await self._store.jobs(where, min(PAGE, last), cursor)
            for job, shown in zip(page.items, await redactor.jobs(page.items), strict=True):
                gathered.add(shown["payload"] if payloads else shown, {"job": job.id, "url": f"/v1/jobs/{job.id}", "at": shown["created_at"]})
            cursor = page.next_cursor
            if cursor is None:
                return gathered.found, True
        return gathered.found, gathered.is_full

    async def _events(self, redactor: Redactor, kind: EventType, last: int) -> tuple[list[Found], bool]:
        gathered, before = _Gathered(last), None
        while gathered.wants_more:
            page = await self._store.find_events([kind.name], None, min(PAGE, last), before)
            for event in await redactor.events(page.items):
                gathered.add(event.data, _which(event))
            if page.next_cursor is None:
                return gathered.found, True
            before = int(page.next_cursor)
        return gathered.found, gathered.is_full


class _Gathered:
    """Documents up to a number, within a time and a size."""

    def __init__(self, most: int) -> None:
        self.found: list[Found] = []
        self._most, self._bytes, self._end = most, 0, time.monotonic() + SEARCH_SECONDS

    @property
    def is_full(self) -> bool:
        return len(self.found) >= self._most

    @property
    def wants_more(self) -> bool:
        return not self.is_full and self._bytes < MOST_BYTES and time.monotonic() < self._end

    def add(self, document: Any, which: Document) -> None:
        if not self.is_full and self._bytes < MOST_BYTES:
            self._bytes += len(orjson.dumps(document))
            self.found.append((document, which))


def _which(event: Event) -> Document:
    subject = event.subject or ""
    job_id = subject.removeprefix("job/") if subject.startswith("job/") else None
    url = f"/v1/jobs/{job_id}" if job_id is not None else f"/v1/events?subject={subject}"
    return {"job": job_id, "event": event.id, "url": url, "at": event.time}


def _example(found: Found, faults: Sequence[Document]) -> Document:
    document, which = found
    text = orjson.dumps(document).decode()
    return {"event": None, **which, "faults": faults, "sample": text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"}


def _in_words(refused: int, checked: int, kind: str) -> str:
    noun = {"task": "payload", "event": "event"}.get(kind, "document")
    if not checked:
        return f"There is no {noun} to hold this schema against."
    nouns = noun if checked == 1 else f"{noun}s"
    return f"This schema would refuse {refused:,} of the last {checked:,} {nouns}." if refused else f"This schema takes all of the last {checked:,} {nouns}."
