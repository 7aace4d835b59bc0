"""Read model: jobs, timelines, events, statistics, alerts and the live stream, read from the stores. It writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from contracts import strict_json
from contracts.alerts import Rules
from contracts.catalogue import Catalogue
from contracts.errors import NotFound, Passing
from contracts.event import Event
from contracts.job import Job, JobStatus
from contracts.query import EVERYTHING, Query, fits_letter
from contracts.schedule import Schedule
from contracts.statistics import ALL_TIME, MEASURES, MINUTE_MICROS, WINDOWS_MINUTES, Figures, State, Window, rates
from contracts.times import MICROSECONDS, from_rfc3339, optional_rfc3339, to_rfc3339
from functions.read_model import contract_list, dead_letter_view, function_view
from functions.read_model.auditing import Auditor
from functions.read_model.contract_center import ContractCenter
from functions.read_model.graph import graph
from functions.read_model.history import History
from functions.read_model.stream import Hub
from functions.read_model.why_waiting import why_waiting
from functions.runtime.alerting import Watch
from functions.runtime.redaction import Redactor
from functions.stores.condition import FAIL, Condition
from functions.stores.event_log import EventLog
from functions.stores.instances import Instance
from functions.stores.job_store import STATISTICS_CURSOR, DeadLetter, JobPage, JobStore, QueueState
from functions.stores.stats_store import Reading, StatsStore

SERIES_MINUTES = 60
LETTERS_LOOKED_AT, LETTERS_A_READ = 2_000, 10  # a read counts for so many at least
FUNCTIONS = {
    "gateway": "takes submissions, cancels and retries",
    "processor": "runs the jobs of the queues",
    "metrics-engine": "folds the feed into the statistics",
    "read-model": "answers queries and serves the screens",
    "scheduler": "keeps time",
    "dead-letter": "keeps what no function could handle",
}

Document = dict[str, Any]
Instances = Callable[[], Awaitable[Sequence[Instance]]]


class Pods(Protocol):
    async def count(self) -> Mapping[str, int]:
        """function -> pods that run or start. Raises Passing."""


async def nobody() -> Sequence[Instance]:
    return ()


RunningOutput = Callable[[str, int], str | None]
"""What a handler that runs in this process has printed; None for one that does not."""


def unheard(job_id: str, lease_token: int) -> None:
    """Handlers run in other processes."""


class ReadModel:
    """Everything that can be asked. `instances` tells of functions' processes, `pods` counts their pods on a cluster; `kind` names
    the job store's program, `event_log` holds events that were dropped there, `broker` tells of the one between processes."""

    def __init__(
        self,
        store: JobStore,
        stats: StatsStore,
        event_log: EventLog,
        catalogue: Catalogue,
        *,
        name: str = "observatory",
        redactor: Redactor | None = None,
        hub: Hub | None = None,
        streams_max: int = 500,
        instances: Instances = nobody,
        pods: Pods | None = None,
        hosted: bool = False,
        auditor: Auditor | None = None,
        rules: Rules | None = None,
        kind: str = "SQLite",
        running_output: RunningOutput = unheard,
        broker: Callable[[], Awaitable[Condition]] | None = None,
    ) -> None:
        self.name, self.hosted, self._kind = name, hosted, kind
        self._running_output, self._broker = running_output, broker
        self._event_log = event_log
        self._history = History(store, event_log)
        self._store, self._stats, self._catalogue, self._instances = store, stats, catalogue, instances
        self._pods = pods
        self._redactor = redactor or Redactor(catalogue)
        self.auditor = auditor or Auditor({})
        self._watch = Watch(store, stats, rules)
        self._contracts = ContractCenter(store, stats)
        self.hub = hub or Hub(store, self._redactor.events, most=streams_max)

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        """Ends the live streams; queries are answered to the last."""
        await self.hub.close()
        await self.auditor.drain()

    # ---- jobs -------------------------------------------------------------------------------------------------

    async def job(self, job_id: str) -> Document:
        """A job with `why_waiting`. Raises JobNotFound."""
        job = await self._store.job(job_id)
        states = await self._store.statuses(job.depends_on) if job.open_parents > 1 else {}
        (shown,) = await self._shown([job], [parent for parent, state in states.items() if not JobStatus(state).is_terminal])
        return shown

    async def graph(self, job_id: str, limit: int) -> Document:
        """The jobs that hang together with this one. Raises JobNotFound."""
        return graph(await self._store.family(job_id, limit)) | {"as_of": to_rfc3339(self._store.now())}

    async def jobs(self, where: Query, limit: int, cursor: str | None) -> Document:
        """Jobs that fit, whole as of position `head` of the feed. Raises QueryTooSlow, IndexBehind."""
        page = await self._store.jobs(where, limit, cursor)
        progress = {"indexed_to": page.indexed_to, "head": page.head, "complete": True}
        return self._list(await self._shown(page.items), page.next_cursor) | progress

    async def _shown(self, jobs: Sequence[Job], open_parents: Sequence[str] = ()) -> list[Document]:
        queued = any(job.status == "queued" for job in jobs)
        queues = {queue.name: queue for queue in await self._store.queues()} if queued else {}
        now = self._store.now()
        shown = await self._redactor.jobs(jobs)
        return [document | {"why_waiting": why_waiting(job, queues, now, open_parents)} for job, document in zip(jobs, shown, strict=True)]

    async def events_of(self, job_id: str, after_sequence: int, limit: int) -> Document:
        """A job's timeline in order; of a job that was dropped from the event log. Raises JobNotFound."""
        found = await self._history.timeline(job_id, after_sequence, limit + 1)
        return self._list(await self._redacted(found[:limit]), found[limit - 1].document["sequence"] if len(found) > limit else None)

    async def attempts(self, job_id: str) -> Document:
        """Raises JobNotFound."""
        return self._list([attempt.as_json() for attempt in await self._store.attempts(job_id)])

    async def steps(self, job_id: str) -> Document:
        """What `context.once` has stored, without the values: these may hold what only the handler may see. Raises JobNotFound."""
        done = (await self._store.effects([job_id])).get(job_id) or {}
        if not done:
            await self._store.job(job_id)
        return self._list([{"step": step, "bytes": len(strict_json.dumps(value))} for step, value in sorted(done.items())])

    async def output(self, job_id: str, lease_token: int) -> str:
        """What an attempt's handler printed and logged, or has so far where it runs in this process. Raises JobNotFound, NotFound."""
        for attempt in await self._store.attempts(job_id):
            if attempt.lease_token == lease_token:
                return attempt.output or self._running_output(job_id, lease_token) or ""
        raise NotFound(f"job {job_id} has no attempt under lease {lease_token}; /v1/jobs/{job_id}/attempts lists them")

    # ---- events -----------------------------------------------------------------------------------------------

    async def events(self, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Document:
        """Newest first below a position; `next_cursor` is the position to go on below. From `complete_from` on nothing is missing."""
        past = await self._history.events(types, stream, limit, before)
        return self._list(await self._redacted(past.items), past.next_cursor) | {"complete_from": past.complete_from}

    async def _redacted(self, events: Sequence[Event]) -> list[Document]:
        return [event.document for event in await self._redactor.events(events)]

    # ---- statistics -------------------------------------------------------------------------------------------

    async def stats(self) -> Document:
        """Counts, and what a screen shows of the last 1, 5 and 60 minutes before `as_of`, up to which everything is counted."""
        as_of = await self._counted_until()
        windows = [Window(minutes, as_of) for minutes in WINDOWS_MINUTES]
        reading, head, pruned = await asyncio.gather(
            self._stats.read([(ALL_TIME, ALL_TIME), *((window.first, window.last) for window in windows)]),
            self._store.head(), self._store.pruned_states(),
        )  # fmt: skip
        since_ever, *figures = reading.ranges
        last = as_of // MINUTE_MICROS
        series = await self._stats.series(last - SERIES_MINUTES, last)
        return {
            "name": self.name,
            "as_of": to_rfc3339(as_of),
            "position": reading.position,
            "head": max(head, reading.position),
            "lag": max(head - reading.position, 0),
            "accepted": since_ever.total("accepted"),
            "dropped": sum(pruned.values()),
            **_counts(_present(reading, pruned)),
            "totals": {measure: since_ever.total(measure) for measure in _COUNTED},
            "windows": [_window(window, part) for window, part in zip(windows, figures, strict=True)],
            "series": [_minute(minute, series.get(minute, {})) for minute in range(last - SERIES_MINUTES, last + 1)],
        }

    async def _counted_until(self) -> int:
        """The instant up to which the statistics have every event: now, or the time of the first that they lack."""
        now, cursor = self._store.now(), await self._stats.cursor()
        lacking = await self._store.feed(cursor, 1) if cursor < await self._store.head() else []
        return min(now, from_rfc3339(lacking[0].time or "")) if lacking else now

    async def metrics(self) -> bytes:
        """The business figures as Prometheus text; without the statistics' while those are away."""
        from observability.business_metrics import BusinessFigures, business_metrics

        reading, head, cursors, letters, pruned = await asyncio.gather(
            self._reading(), self._store.head(), self._store.cursors(), self._store.dead_letter_counts(), self._store.pruned_states()
        )
        kept, conditions = await asyncio.gather(self._watch.kept(), self._conditions())
        if reading is not None:
            states, sums, cursors = _present(reading, pruned), reading.ranges[0], cursors | {STATISTICS_CURSOR: reading.position}
        else:
            states, sums = await self._store.counts(), Figures()
        alerts = [(alert.name, alert.severity) for alert in kept]
        up = {condition.name: condition.verdict != FAIL for condition in conditions}
        figures = BusinessFigures(states, sums, head, cursors, letters, self.hub.watchers, alerts, up)
        return await asyncio.to_thread(business_metrics, figures)

    async def _reading(self) -> Reading | None:
        """The sums since the beginning; None while the statistics are away."""
        try:
            return await self._stats.read([(ALL_TIME, ALL_TIME)])
        except Passing:
            return None

    async def stores(self) -> Document:
        """The stores behind all of this, and the broker between processes: which answer, how far they have come, what is wrong and how to mend it."""
        conditions, head = await self._conditions(), await self._store.head()
        return self._list([
            condition.as_json() | {"lag": None if condition.position is None else max(head - condition.position, 0)} for condition in conditions
        ])  # fmt: skip

    async def _conditions(self) -> list[Condition]:
        await self._store.ping()  # without the jobs there is nothing to say
        others = [self._stats.condition(), self._event_log.condition(), *([self._broker()] if self._broker is not None else [])]
        return [Condition("jobs", self._kind), *await asyncio.gather(*others)]

    # ---- what there is ----------------------------------------------------------------------------------------

    async def queues(self) -> Document:
        now = self._store.now()
        return self._list([_queue(queue, now) for queue in await self._store.queues()])

    async def schedules(self, limit: int, cursor: str | None) -> Document:
        """By name, each with the state of its last job."""
        page = await self._store.schedules(limit, cursor)
        return self._list(await self._shown_schedules(page.items), page.next_cursor)

    async def schedule(self, name: str) -> Document:
        """Raises ScheduleNotFound."""
        return (await self._shown_schedules([await self._store.schedule(name)]))[0]

    async def _shown_schedules(self, schedules: Sequence[Schedule]) -> list[Document]:
        last = [schedule.last_job_id for schedule in schedules if schedule.last_job_id is not None]
        states = await self._store.statuses(last) if last else {}
        shown = await self._redactor.schedules([schedule.as_json() for schedule in schedules])
        return [
            document | {"last_job_status": states.get(schedule.last_job_id or "")} for schedule, document in zip(schedules, shown, strict=True)
        ]

    async def alerts(self) -> Document:
        """What is beyond its threshold now, and what is raised, with its evidence."""
        return self._list(await self._watch.shown())

    def tasks(self) -> Document:
        return self._list([
            task.as_json() | {"schedule": task.schedule and self._redactor.schedule(task.schedule)} for task in self._catalogue.definitions()
        ])  # fmt: skip

    async def contracts(self, subject_type: str | None) -> Document:
        """Every contract with its versions and differences, and the newest refusals with samples, of one type or of all."""
        shown = await self._contracts.shown(self._catalogue, subject_type)
        return self._list(shown["items"]) | {"refusals": shown["refusals"]}

    async def check_contract(self, name: str, schema: Any, last: int) -> Document:
        """What a proposed schema would refuse of the last documents. Raises ContractViolation, Overloaded."""
        return await self._contracts.check(self._catalogue, self._redactor, name, schema, last)

    def contract(self, name: str) -> Document:
        """The schema of an event type, a task type or a document. Raises NotFound."""
        return contract_list.contract(self._catalogue, name)

    async def bulks(self) -> Document:
        return self._list([operation.as_json() for operation in await self._store.bulks(100)])

    async def bulk(self, operation: str) -> Document:
        """Raises NotFound."""
        return (await self._store.bulk(operation)).as_json()

    async def dead_letters(self, limit: int, cursor: str | None, status: str | None, where: Query = EVERYTHING) -> Document:
        """Newest first. With a query a page may hold fewer than `limit` and still have a next one: what is rare is looked
        for in a bounded number of letters at a time."""
        found: list[DeadLetter] = []
        now, looked = self._store.now(), 0
        while True:
            page = await self._store.dead_letters(limit - len(found), cursor, status)
            found += [letter for letter in page.items if where.is_everything or fits_letter(where, letter, now)]
            cursor, looked = page.next_cursor, looked + max(len(page.items), LETTERS_A_READ)
            if cursor is None or len(found) >= limit or looked >= LETTERS_LOOKED_AT:
                return self._list([letter.as_json() for letter in found], cursor)

    async def dead_letter(self, letter_id: str) -> Document:
        """With headers and what was kept, as far as it may be shown. Raises NotFound."""
        return await dead_letter_view.shown(await self._store.dead_letter(letter_id), self._redactor)

    async def functions(self) -> Document:
        """Each function with its instances that live, its pods (on a cluster), and how its last cold starts went."""
        records, pods = await asyncio.gather(self._instances(), self._count_pods())
        names = dict.fromkeys((*FUNCTIONS, *(record.function for record in records)))
        return self._list([function_view.shown(name, FUNCTIONS.get(name), records, pods) for name in names])

    async def _count_pods(self) -> Mapping[str, int] | None:
        """None where there are no pods, or nobody tells."""
        if self._pods is None:
            return None
        try:
            return await self._pods.count()
        except Passing:
            return None

    async def overview(self) -> Document:
        """What the index page shows."""
        jobs, counts, queues, found = await asyncio.gather(
            self._store.jobs(EVERYTHING, 20, None), self._store.counts(), self._store.queues(), self._watch.shown()
        )
        states = dict.fromkeys(map(str, JobStatus), 0)
        for (_, _, state), count in counts.items():
            states[state] = states.get(state, 0) + count
        now = self._store.now()
        by_name = {queue.name: queue for queue in queues}
        return {
            "name": self.name,
            "as_of": to_rfc3339(now),
            "states": states,
            "queues": [_queue(queue, now) for queue in queues],
            "alerts": found,
            "jobs": [job.as_json() | {"why_waiting": why_waiting(job, by_name, now)} for job in _without_payload(jobs)],
        }

    async def head(self) -> int:
        return await self._store.head()

    def _list(self, items: Sequence[Any], next_cursor: str | None = None) -> Document:
        return {"items": items, "next_cursor": next_cursor, "as_of": to_rfc3339(self._store.now())}


_COUNTED = (*dict.fromkeys(MEASURES.values()), "timed_out", "lease_lost", "worker_died", "cold_starts", "refused")
_CHARTED = ("accepted", "started", "succeeded", "failed", "retrying", "cancelled", "refused")


def _without_payload(page: JobPage) -> list[Job]:
    for job in page.items:
        job.payload = None
    return page.items


def _present(reading: Reading, pruned: Mapping[State, int]) -> dict[State, int]:
    """The jobs that are there: those that retention dropped count in the sums since the beginning alone."""
    return {state: jobs - pruned.get(state, 0) for state, jobs in reading.states.items() if jobs != pruned.get(state, 0)}


def _counts(present: Mapping[State, int]) -> Document:
    states = dict.fromkeys(map(str, JobStatus), 0)
    types: dict[str, dict[str, int]] = {}
    queues: dict[str, dict[str, int]] = {}
    for (queue, job_type, state), count in sorted(present.items()):
        for part in (states, types.setdefault(job_type, {}), queues.setdefault(queue, {})):
            part[state] = part.get(state, 0) + count
    return {"states": states, "types": types, "queues": queues}


def _window(window: Window, figures: Figures) -> Document:
    seconds = window.covered_seconds
    return {
        "minutes": window.minutes,
        "since": to_rfc3339(window.first * MINUTE_MICROS),
        "covered_seconds": seconds,
        **rates(figures, seconds),
        "types": {job_type: rates(part, seconds) for job_type, part in sorted(figures.by_type().items()) if job_type},
    }


def _minute(minute: int, sums: dict[str, int]) -> Document:
    return {"minute": to_rfc3339(minute * MINUTE_MICROS), **{measure: sums.get(measure, 0) for measure in _CHARTED}}


WORKERS_SHOWN = 100


def _newest(workers: Mapping[str, int]) -> list[tuple[int, str]]:
    return sorted(((seen_at, name) for name, seen_at in workers.items()), reverse=True)[:WORKERS_SHOWN]


def _queue(queue: QueueState, now: int) -> Document:
    oldest = queue.oldest_queued_at
    return {
        "name": queue.name,
        "depth": queue.depth,
        "running": queue.running,
        "max_running": queue.max_running,
        "rate_per_second": queue.rate_per_second,
        "paused": queue.paused,
        "paused_by": queue.paused_by,
        "paused_at": optional_rfc3339(queue.paused_at),
        "oldest_queued_at": optional_rfc3339(oldest),
        "oldest_age_seconds": None if oldest is None else max(now - oldest, 0) / MICROSECONDS,
        "workers_seen": [{"worker": name, "seen_at": to_rfc3339(seen_at)} for seen_at, name in _newest(queue.workers)],
    }


