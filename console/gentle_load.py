"""The mixed load of `make demo-life`: which requests come at which beat. Pure, and the same for the same dice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Request = dict[str, Any]
BEAT_SECONDS = 0.5
TAG = "demo-life"
SCHEDULES: dict[str, Request] = {
    "demo-life-heartbeat": {"every_seconds": 10, "template": {"type": "demo.noop", "payload": {"echo": "still here"}, "tags": [TAG]}},
    "demo-life-report": {"cron": "*/5 * * * *", "template": {"type": "text.statistics", "payload": {"text": "all is well"}, "tags": [TAG]}},
}
SENTENCES = ("to be or not to be", "the quick brown fox jumps over the lazy dog", "all work and no play makes a dull job")
COUNTRIES = ("Atlantis", "Freedonia", "Ruritania")


@dataclass(frozen=True, slots=True)
class Act:
    """Comes at the beat `first` and then every `every` beats; its first job is cancelled `cancel_after` beats later."""

    name: str
    first: int
    every: int
    make: Callable[[Random, Sequence[str]], list[Request]]
    cancel_after: int | None = None


def due(beat: int) -> list[Act]:
    """The acts of a beat."""
    return [act for act in ACTS if beat >= act.first and (beat - act.first) % act.every == 0]


def requests_of(act: Act, dice: Random, files: Sequence[str]) -> list[Request]:
    """An act's job requests, tagged. `files` are paths that the server may read; without any, texts are counted."""
    return [{**request, "tags": [TAG, act.name.replace(" ", "-")]} for request in act.make(dice, files)]


def _work(dice: Random, files: Sequence[str]) -> list[Request]:
    return [_one(dice, files) for _ in range(dice.randint(1, 3))]


def _one(dice: Random, files: Sequence[str]) -> Request:
    queue, priority = dice.choice((("default", 4), ("default", 7), ("bulk", 2)))
    kind = dice.choice(("text.statistics", "file.digest")) if files else "text.statistics"
    payload = {"path": dice.choice(files)} if files else {"text": dice.choice(SENTENCES)}
    return {"type": kind, "payload": payload, "queue": queue, "priority": priority}


def _slow(dice: Random, _: Sequence[str]) -> list[Request]:
    return [_sleep(round(dice.uniform(3, 9), 1))]


def _sleep(seconds: float, **options: Any) -> Request:
    return {"type": "demo.sleep", "payload": {"seconds": seconds, "steps": 20}, **options}


def _retried(dice: Random, _: Sequence[str]) -> list[Request]:
    return [{"type": "demo.fail", "payload": {"times": dice.randint(1, 2), "message": f"upstream answered 503 after {dice.randint(20, 900)} ms"}}]


def _family(dice: Random, _: Sequence[str]) -> list[Request]:
    if dice.random() < 0.7:
        message = f"invoice {dice.randint(10_000, 99_999)}: no tax rate for {dice.choice(COUNTRIES)}"
        return [{"type": "demo.fail", "payload": {"times": 1, "permanent": True, "message": message}}]
    message = f"connection to db-{dice.randint(1, 9)}.example:5432 was refused"
    return [{"type": "demo.fail", "payload": {"times": 9, "message": message}, "max_attempts": 2}]


def _too_slow(dice: Random, _: Sequence[str]) -> list[Request]:
    return [_sleep(30, timeout_seconds=1, max_attempts=2)]


def _to_be_cancelled(dice: Random, _: Sequence[str]) -> list[Request]:
    return [_sleep(120)]


def _chain(dice: Random, files: Sequence[str]) -> list[Request]:
    begin = _one(dice, files)
    if dice.random() < 0.3:  # its first job fails, so the rest is cancelled
        begin = {"type": "demo.fail", "payload": {"times": 1, "permanent": True, "message": "the source of this chain is empty"}}
    return [begin, _one(dice, files) | {"depends_on": ["#0"]}, _sleep(2, depends_on=["#0"]),
            {"type": "demo.noop", "payload": {"echo": "both are done"}, "depends_on": ["#1", "#2"]}]  # fmt: skip


def _delayed(dice: Random, files: Sequence[str]) -> list[Request]:
    return [_one(dice, files) | {"delay_seconds": dice.randint(15, 40)}]


def _burst(dice: Random, _: Sequence[str]) -> list[Request]:
    return [{"type": "demo.noop", "payload": {"echo": number}, "queue": "bulk", "priority": 1} for number in range(40)]


def _unheard(dice: Random, _: Sequence[str]) -> list[Request]:
    return [{"type": "demo.unheard", "payload": {"note": dice.choice(SENTENCES)}}]


def _refused(dice: Random, _: Sequence[str]) -> list[Request]:
    wrong: tuple[Request, ...] = (
        {"type": "text.statistics", "payload": {"txt": "a field that is not there"}},
        {"type": "demo.sleep", "payload": {"seconds": "long"}},
        {"type": "report.mothly", "payload": {}},
    )
    return [dice.choice(wrong)]


ACTS = (
    Act("work", 0, 2, _work),
    Act("slow", 1, 8, _slow),
    Act("retries", 2, 13, _retried),
    Act("failure family", 3, 17, _family),
    Act("cancelled", 4, 30, _to_be_cancelled, cancel_after=5),
    Act("chain", 5, 24, _chain),
    Act("delayed", 6, 20, _delayed),
    Act("dead letter", 7, 120, _unheard),
    Act("burst", 8, 60, _burst),
    Act("refusal", 9, 40, _refused),
    Act("too slow", 10, 90, _too_slow),
)
