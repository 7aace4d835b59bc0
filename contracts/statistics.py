"""Statistics as a fold of the feed: integer sums and logarithmic buckets, equal to the bit in any order.

Every figure is a sum of whole numbers, so deltas add up the same whichever comes first. Times are summed in microseconds
and counted in buckets of the HDR layout (G. Tene, HdrHistogram): 32 buckets for each power of two, so a value read back
is at most 1.6 % off. Minutes are counted since the epoch, by the event's own time; minute `ALL_TIME` holds the sums
since the beginning.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Any

from contracts import event_types as types
from contracts.event import Event
from contracts.times import MICROSECONDS, from_rfc3339

ALL_TIME = 0
MINUTE_MICROS = 60 * MICROSECONDS
WINDOWS_MINUTES = (1, 5, 60)
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

State = tuple[str, str, str]  # queue, type, status
Sum = tuple[int, str, str, str]  # minute, queue, type, measure
Bucket = tuple[int, str, str, str, int]  # minute, queue, type, waited | ran, bucket

# What each event counts as. `waited` and `ran` are the counts of the times below.
MEASURES: dict[str, str] = {
    types.JOB_ACCEPTED: "accepted",
    types.JOB_STARTED: "started",
    types.JOB_SUCCEEDED: "succeeded",
    types.JOB_FAILED: "failed",
    types.JOB_RETRYING: "retrying",
    types.JOB_CANCELLED: "cancelled",
    types.JOB_RELEASED: "released",
    types.JOB_REOPENED: "reopened",
    types.full_name("schedule.fired"): "fired",
    types.full_name("schedule.skipped"): "skipped",
    types.full_name("deadletter.replayed"): "replayed",
    types.full_name("deadletter.discarded"): "discarded",
}
OUTCOMES = frozenset({"timed_out", "lease_lost", "worker_died"})
_TIMED = {
    types.JOB_STARTED: ("waited", "waited_seconds"),
    types.JOB_SUCCEEDED: ("ran", "ran_seconds"),
    types.JOB_FAILED: ("ran", "ran_seconds"),
    types.JOB_RETRYING: ("ran", "ran_seconds"),
    types.JOB_CANCELLED: ("ran", "ran_seconds"),
}


# ---- buckets ----------------------------------------------------------------------------------------------------


def bucket_of(micros: int) -> int:
    """The bucket of a time in microseconds, from 0; exact below 64, then 32 buckets for each power of two."""
    if micros < 32:
        return max(micros, 0)
    shift = micros.bit_length() - 6
    return (shift << 5) + (micros >> shift)


def bounds(bucket: int) -> tuple[int, int]:
    """The least and the greatest microseconds of a bucket."""
    if bucket < 32:
        return bucket, bucket
    shift = (bucket >> 5) - 1
    least = (32 + (bucket & 31)) << shift
    return least, least + (1 << shift) - 1


def percentile_micros(counts: Mapping[int, int], part: float) -> int | None:
    """The nearest-rank percentile (`part` 0.95 for p95) of bucket -> count: the middle of its bucket; None when empty."""
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = max(ceil(part * total), 1), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            break
    least, greatest = bounds(bucket)
    return (least + greatest) // 2


# ---- the delta --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Delta:
    """What some events change. A key that is absent counts nothing; no value is zero, so equal deltas compare equal."""

    states: dict[State, int] = field(default_factory=dict)
    sums: dict[Sum, int] = field(default_factory=dict)
    buckets: dict[Bucket, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.states or self.sums or self.buckets)

    def as_json(self) -> dict[str, list[list[Any]]]:
        """Sorted rows, so that equal deltas have equal canonical bytes."""
        return {
            "states": [[*key, value] for key, value in sorted(self.states.items())],
            "sums": [[*key, value] for key, value in sorted(self.sums.items())],
            "buckets": [[*key, value] for key, value in sorted(self.buckets.items())],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Sequence[Sequence[Any]]]) -> "Delta":
        """The delta of a document made by `as_json`."""
        parts = ({tuple(row[:-1]): row[-1] for row in document[name]} for name in ("states", "sums", "buckets"))
        return cls(*parts)


def merge(*deltas: Delta) -> Delta:
    """The sum of deltas; their order does not matter."""
    whole = Delta()
    for delta in deltas:
        _add(whole.states, delta.states)
        _add(whole.sums, delta.sums)
        _add(whole.buckets, delta.buckets)
    return Delta(_without_zeros(whole.states), _without_zeros(whole.sums), _without_zeros(whole.buckets))


def _add(to: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, value in more.items():
        to[key] = to.get(key, 0) + value


def _without_zeros(counts: dict[Any, int]) -> dict[Any, int]:
    return {key: value for key, value in counts.items() if value}


# ---- the fold ---------------------------------------------------------------------------------------------------

_Tally = dict[tuple[Any, ...], int]


def fold(events: Iterable[Event]) -> Delta:
    """What these events of the log change. Types that are not known count only by their `from` and `to`."""
    tally: _Tally = {}
    times: dict[tuple[str, str, str, str], list[int]] = {}
    rare: list[dict[str, Any]] = []
    for event in events:
        document = event.document
        data = document.get("data")
        if data.__class__ is not dict:
            continue
        kind, minute = document["type"], document["time"][:16]
        queue, job_type = document.get("queue", ""), document.get("jobtype", "")
        # one look-up an event: what it means is worked out once for all that are alike
        key = (minute, queue, job_type, kind, data.get("from"), data.get("to"), data.get("outcome"))
        tally[key] = tally.get(key, 0) + 1
        timed = _TIMED.get(kind)
        if timed is not None:
            measure, name = timed
            seconds = data.get(name)
            if seconds is not None:
                cell = (minute, queue, job_type, measure)
                if cell in times:
                    times[cell].append(round(seconds * MICROSECONDS))
                else:
                    times[cell] = [round(seconds * MICROSECONDS)]
            if measure == "waited" and data.get("cold_start_seconds") is not None:
                rare.append(document)
        elif kind == types.CONTRACT_REFUSED or (kind == types.SCHEDULE_SKIPPED and data.get("count", 1) > 1):
            rare.append(document)
    return _expanded(tally, times, rare)


def _expanded(tally: _Tally, times: Mapping[tuple[str, str, str, str], list[int]], rare: Iterable[dict[str, Any]]) -> Delta:
    delta = Delta()
    for (text, queue, job_type, kind, origin, target, outcome), count in tally.items():
        if target is not None and origin != target:
            _add(delta.states, {(queue, job_type, target): count})
            if origin is not None:
                _add(delta.states, {(queue, job_type, origin): -count})
        if kind in MEASURES:
            _count(delta, (_minute(text), queue, job_type), MEASURES[kind], count)
        if outcome in OUTCOMES:
            _count(delta, (_minute(text), queue, job_type), outcome, count)
    for (text, queue, job_type, measure), micros in times.items():
        minute = _minute(text)
        _count(delta, (minute, queue, job_type), measure, len(micros))
        _count(delta, (minute, queue, job_type), f"{measure}_micros", sum(micros))
        for bucket, count in Counter(map(bucket_of, micros)).items():
            for when in (minute, ALL_TIME):
                place = (when, queue, job_type, measure, bucket)
                delta.buckets[place] = delta.buckets.get(place, 0) + count
    for document in rare:
        _count_rare(delta, document)
    delta.states = _without_zeros(delta.states)
    return delta


def _count_rare(delta: Delta, document: dict[str, Any]) -> None:
    data = document["data"]
    if document["type"] == types.CONTRACT_REFUSED:  # it is told after its minute, and counts in it
        _count(delta, (_minute(data["minute"][:16]), "", data["subject_type"] or "unknown"), "refused", data["count"])
        return
    place = _minute(document["time"][:16]), document.get("queue", ""), document.get("jobtype", "")
    if document["type"] == types.SCHEDULE_SKIPPED:  # one event may stand for several due times
        _count(delta, place, "skipped", data["count"] - 1)
    else:
        _count(delta, place, "cold_starts", 1)
        _count(delta, place, "cold_start_micros", round(data["cold_start_seconds"] * MICROSECONDS))


def _count(delta: Delta, place: tuple[int, str, str], measure: str, value: int) -> None:
    if value:
        minute, queue, job_type = place
        _add(delta.sums, {(minute, queue, job_type, measure): value, (ALL_TIME, queue, job_type, measure): value})


@lru_cache(maxsize=256)
def _minute(text: str) -> int:
    """`2026-11-24T08:15` -> minutes since the epoch."""
    return from_rfc3339(f"{text}:00Z") // MINUTE_MICROS


# ---- windows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """The last `minutes` full minutes before an instant, and the one that it is in."""

    minutes: int
    as_of: int

    @property
    def first(self) -> int:
        """Its first minute since the epoch."""
        return self.last - self.minutes

    @property
    def last(self) -> int:
        return self.as_of // MINUTE_MICROS

    @property
    def covered_seconds(self) -> float:
        return (self.as_of - self.first * MINUTE_MICROS) / MICROSECONDS


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums and buckets of a range of minutes: (queue, type, measure) -> sum, (queue, type, measure, bucket) -> count."""

    sums: dict[tuple[str, str, str], int] = field(default_factory=dict)
    buckets: dict[tuple[str, str, str, int], int] = field(default_factory=dict)

    def total(self, measure: str) -> int:
        return sum(value for key, value in self.sums.items() if key[2] == measure)

    def times(self, measure: str) -> dict[int, int]:
        """bucket -> count of `waited` or `ran`."""
        counts: dict[int, int] = {}
        for key, count in self.buckets.items():
            if key[2] == measure:
                counts[key[3]] = counts.get(key[3], 0) + count
        return counts

    def by_type(self) -> dict[str, "Figures"]:
        """The figures of each type, over all queues."""
        parts: dict[str, Figures] = {}
        for key, value in self.sums.items():
            parts.setdefault(key[1], Figures()).sums[key] = value
        for cell, count in self.buckets.items():
            parts.setdefault(cell[1], Figures()).buckets[cell] = count
        return parts


def rates(figures: Figures, covered_seconds: float) -> dict[str, Any]:
    """What a screen shows of a window: counts, jobs a second, failure rate, percentiles in seconds (None: no such jobs)."""
    counts = {name: figures.total(name) for name in ("accepted", "started", "succeeded", "failed", "cancelled", "retrying")}
    finished = counts["succeeded"] + counts["failed"]
    return {
        **counts,
        "throughput": round((finished + counts["cancelled"]) / covered_seconds, 6) if covered_seconds else 0.0,
        "failure_rate": round(counts["failed"] / finished, 6) if finished else None,
        "waiting_seconds": times_of(figures, "waited"),
        "running_seconds": times_of(figures, "ran"),
    }


def times_of(figures: Figures, measure: str) -> dict[str, Any]:
    """Count, mean and percentiles of a time, in seconds."""
    counts, total = figures.times(measure), figures.total(measure)
    return {
        "count": total,
        "mean": figures.total(f"{measure}_micros") / total / MICROSECONDS if total else None,
        **{name: _seconds(percentile_micros(counts, part)) for name, part in PERCENTILES.items()},
    }


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROSECONDS
