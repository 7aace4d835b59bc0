"""What the thresholds of `contracts/alerts.py` are held against: measured from the statistics, the queues and the feed.

The scheduler judges by it with each tick, the read model shows it as of now.
"""

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.alerts import CRITICAL, Alert, Finding, Judgement, Rules
from contracts.errors import Passing
from contracts.event_types import ALERT_RAISED
from contracts.log_fields import about
from contracts.statistics import Figures, Window
from contracts.times import MICROSECONDS, from_rfc3339, seconds_between, to_micros
from functions.stores.event_log import EVENT_LOG_CURSOR
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, JobStore, QueueState
from functions.stores.stats_store import Reading, StatsStore

log = logging.getLogger("observatory.alerts")
MINUTES = 5
FAILURES_LEAST = 5
EVERY_SECONDS = 5.0  # judged at most so often, however often time is kept
PATIENCE_SECONDS = 1.0
_COUNTED = ("failure-rate", "refusals", "no-progress")  # judged by the statistics
_MOVED = ("started", "succeeded", "failed", "retrying", "cancelled", "released")


@dataclass(frozen=True, slots=True)
class Situation:
    """What is measured: figures of the last five minutes; of the minutes without which there is no progress, and how many
    seconds they are; the queues; dead letters by status, and those of the last five minutes; each reader's lag in seconds."""

    now: int
    measured: bool  # whether the statistics answered: without them nothing is said of what they count
    recent: Figures
    moved: Figures
    moved_seconds: float
    queues: Sequence[QueueState]
    letters: Mapping[str, int]
    new_letters: Mapping[str, int]
    lags: Mapping[str, float]


def findings(situation: Situation) -> Iterator[Finding]:
    """Every value that a rule may find too high, with its sentence."""
    yield from _failures(situation.recent)
    for queue in situation.queues:
        yield from _queue(situation, queue)
    yield from _letters(situation)
    for job_type, figures in sorted(situation.recent.by_type().items()):
        if refused := figures.total("refused"):
            kind = "of an unknown type" if job_type == "unknown" else f"of type {job_type}"
            yield Finding("refusals", job_type, refused, f"{_of(refused, 'request')} {kind} were refused in the last {MINUTES} minutes.")
    for reader, seconds in sorted(situation.lags.items()):
        if seconds:
            yield Finding("feed-lag", reader, round(seconds, 3), f"The reader {reader} is {seconds:.0f} s behind the feed.")


def _failures(recent: Figures) -> Iterator[Finding]:
    for job_type, figures in sorted(recent.by_type().items()):
        failed, ended = figures.total("failed"), figures.total("failed") + figures.total("succeeded")
        if failed >= FAILURES_LEAST:
            summary = f"{failed:,} of {ended:,} jobs of type {job_type} that ended in the last {MINUTES} minutes failed."
            yield Finding("failure-rate", job_type, round(failed / ended, 4), summary)


def _queue(situation: Situation, queue: QueueState) -> Iterator[Finding]:
    if queue.paused or not queue.depth or queue.oldest_queued_at is None:
        return
    age = seconds_between(queue.oldest_queued_at, situation.now)
    rested = 2 / queue.rate_per_second if queue.rate_per_second else 0.0  # so long a slow queue may rest between two jobs
    if queue.running == 0 and age > rested:
        summary = f"No worker has taken a job of queue {queue.name} for {age:.0f} s, and {_are(queue.depth)} queued."
        yield Finding("no-worker", queue.name, round(age, 3), summary)
    elif queue.running:
        yield Finding("queue-age", queue.name, round(age, 3), f"The next job of queue {queue.name} has waited for {age:.0f} s, with {queue.depth:,} queued.")
    if queue.running and not _has_moved(situation.moved, queue.name):
        seconds = situation.moved_seconds
        summary = f"In queue {queue.name} nothing has begun or ended for {seconds:.0f} s, while {_are(queue.running)} running and {_are(queue.depth)} queued."
        yield Finding("no-progress", queue.name, round(seconds, 3), summary)


def _has_moved(moved: Figures, queue: str) -> bool:
    return any(value for (name, _, measure), value in moved.sums.items() if name == queue and measure in _MOVED)


def _letters(situation: Situation) -> Iterator[Finding]:
    if kept := situation.letters.get("kept", 0):
        events = "One event that no function could handle lies" if kept == 1 else f"{kept:,} events that no function could handle lie"
        yield Finding("dead-letters", "kept", kept, f"{events} among the dead letters.")
    if new := situation.new_letters.get("kept", 0):
        summary = f"{_of(new, 'event')} came to the dead letters in the last {MINUTES} minutes."
        yield Finding("dead-letters-growing", "kept", new, summary)


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _are(count: int) -> str:
    return f"{count:,} is" if count == 1 else f"{count:,} are"


class Watch:
    """Measures, and lets the store judge. Nothing that matters is kept here: another process goes on with the next tick."""

    def __init__(self, store: JobStore, stats: StatsStore, rules: Rules | None = None, every_seconds: float = EVERY_SECONDS) -> None:
        self.rules = rules or Rules()
        self._every_seconds = every_seconds
        self._store, self._stats = store, stats
        self._looked: float | None = None
        self.statistics_at: int | None = None
        """Where the statistics stood when they last answered."""

    async def look(self) -> int | None:
        """Raises and resolves alerts; answers when to look again (None: with the next tick). Raises StoreUnavailable."""
        if self._looked is not None and (early := self._every_seconds - (time.monotonic() - self._looked)) > 0:
            return self._store.now() + to_micros(early) if await self._store.alerts() else None
        self._looked = time.monotonic()
        situation = await self._situation()
        found = list(findings(situation))
        if not found and not await self._store.alerts():
            return None
        unknown = () if situation.measured else _COUNTED
        judgement = await self._store.judge_alerts(
            lambda known, now: self.rules.judge(found, {key: alert for key, alert in known.items() if alert.name not in unknown}, now)
        )
        _log(judgement)
        return judgement.next_at

    async def found(self) -> list[Finding]:
        """What is measured now."""
        return list(findings(await self._situation()))

    async def shown(self) -> list[dict[str, object]]:
        """Every alert as it is answered, with the values of now."""
        found, known = await asyncio.gather(self.found(), self._store.alerts())
        return self.rules.shown(found, known, self._store.now())

    async def kept(self) -> list[Alert]:
        """The alerts that were raised and are not over."""
        return [alert for alert in (await self._store.alerts()).values() if alert.raised_at is not None]

    async def _situation(self) -> Situation:
        now = self._store.now()
        rule = self.rules.get("no-progress")
        window, still = Window(MINUTES, now), Window(math.ceil((rule.above if rule is not None else 0.0) / 60), now)
        reading, queues, letters, new_letters, head, cursors = await asyncio.gather(
            self._reading([(window.first, window.last), (still.first, still.last)]), self._store.queues(), self._store.dead_letter_counts(),
            self._store.dead_letter_counts(now - MINUTES * 60 * MICROSECONDS), self._store.head(), self._store.cursors(),
        )  # fmt: skip
        stands = {name: cursors[name] for name in (PUBLISH_CURSOR, EVENT_LOG_CURSOR) if name in cursors}
        stands[STATISTICS_CURSOR] = reading.position if reading is not None else cursors.get(STATISTICS_CURSOR, 0)
        lags = {name: await self._lag(position, head, now) for name, position in stands.items()}
        recent, moved = reading.ranges if reading is not None else (Figures(), Figures())
        late = reading is None or lags[STATISTICS_CURSOR]  # who counts is late: no word about progress
        return Situation(now, reading is not None, recent, moved, 0.0 if late else still.covered_seconds, queues, letters, new_letters, lags)

    async def _reading(self, ranges: Sequence[tuple[int, int]]) -> Reading | None:
        """None while the statistics are away, which the reader's lag tells; time is not kept waiting for them."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reading = await self._stats.read(ranges)
        except (Passing, TimeoutError):
            return None
        self.statistics_at = reading.position
        return reading

    async def _lag(self, position: int, head: int, now: int) -> float:
        """How long the next event of a reader has waited for it, in seconds."""
        if position >= head:
            return 0.0
        waiting = await self._store.feed(position, 1)
        return seconds_between(from_rfc3339(str(waiting[0].time)), now) if waiting else 0.0


def _log(judgement: Judgement) -> None:
    for event_type, alert, _ in judgement.told:
        facts = {"alert_id": alert.id, "severity": alert.severity}
        if event_type == ALERT_RAISED:
            level = logging.ERROR if alert.severity == CRITICAL else logging.WARNING
            log.log(level, "alert %s: %s", alert.severity, alert.summary, extra=about("alert.raised", **facts))
        else:
            log.info("alert over: %s", alert.summary, extra=about("alert.resolved", **facts))
