"""One transaction's view of the store, and what every command is."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from contracts.alerts import Alert
from contracts.errors import (
    JobNotFound,
    ObservatoryError,
)
from contracts.event import SPEC_VERSION
from contracts.ids import UuidSequence
from contracts.job import Attempt, Job
from contracts.schedule import Schedule
from contracts.times import to_rfc3339
from functions.stores.bulk import BulkState
from functions.stores.moves import Moves

MINUTE = 60_000_000


@dataclass(slots=True)
class Needs:
    """What the commands of one transaction must find loaded."""

    job_ids: set[str] = field(default_factory=set)  # jobs to be changed
    ending: set[str] = field(default_factory=set)  # jobs to be changed that may end by it, and so settle their children
    looked_at: set[str] = field(default_factory=set)  # jobs that decide and are not changed; they must not end meanwhile
    keys: list[tuple[str, str, bytes]] = field(default_factory=list)  # key, job id, fingerprint: reserved if free
    uniques: set[tuple[str, str]] = field(default_factory=set)
    parent_keys: set[str] = field(default_factory=set)  # of `keys`, those whose holders may be parents: they are looked at, too
    parent_uniques: set[tuple[str, str]] = field(default_factory=set)
    effects: set[tuple[str, str]] = field(default_factory=set)
    claims: dict[str, int] = field(default_factory=dict)  # queue -> how many at most
    passed_over: dict[str, set[str]] = field(default_factory=dict)  # queue -> types that its claims do not want
    tick: int = 0  # how many due, lost and expired jobs at most
    rescue_all: bool = False
    streams: set[str] = field(default_factory=set)
    schedules: set[str] = field(default_factory=set)  # by name
    all_schedules: bool = False
    due_schedules: int = 0  # how many that are due at most
    operations: set[str] = field(default_factory=set)  # bulk operations
    alerts: bool = False  # all that are kept


@dataclass(slots=True)
class Unit:
    """One transaction's view: what was loaded, and what is to be written."""

    source: str
    now: int
    ids: UuidSequence
    random: Callable[[], float]
    jobs: dict[str, Job] = field(default_factory=dict)
    keys: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)  # dropped jobs that keys still stand for -> how they ended
    uniques: dict[tuple[str, str], Job] = field(default_factory=dict)
    effects: dict[tuple[str, str], Any] = field(default_factory=dict)
    claimable: dict[str, list[Job]] = field(default_factory=dict)
    due: list[Job] = field(default_factory=list)
    lost: list[Job] = field(default_factory=list)
    expired: list[Job] = field(default_factory=list)
    untold_refusals: list[tuple[int, str, str, int]] = field(default_factory=list)  # minute, type, reason, count
    paused: dict[str, bool] = field(default_factory=dict)  # of each queue that is known
    next_due_at: int | None = None
    held_up: bool = False  # something is due that somebody else holds
    streams: dict[str, int] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    due_schedules: list[str] = field(default_factory=list)
    next_firing_at: int | None = None  # of the schedules that are not due yet

    operations: dict[str, BulkState] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)

    fresh: list[Job] = field(default_factory=list)
    dirty_operations: set[str] = field(default_factory=set)
    dirty: dict[str, Job] = field(default_factory=dict)
    documents: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    edges: dict[tuple[str, str], bool] = field(default_factory=dict)  # new ones: (parent, child) -> whether the parent's end counted
    rekeyed: dict[str, tuple[str, bytes] | None] = field(default_factory=dict)  # keys that stand for another job now, or for none
    new_effects: list[tuple[str, str, int, Any]] = field(default_factory=list)
    changed_schedules: set[str] = field(default_factory=set)  # those that are not in `schedules` are gone
    changed_alerts: dict[str, Alert | None] = field(default_factory=dict)  # None: gone
    ended: list[Job] = field(default_factory=list)  # their children are not settled yet
    seen: set[tuple[str, str]] = field(default_factory=set)  # (queue, worker): who asked for jobs or renewed a lease
    settle: Callable[[], None] = field(default=lambda: None)
    moves: Moves = field(init=False)

    def __post_init__(self) -> None:
        self.moves = Moves(self.source, self.now, self.documents.append, self.random)

    def job(self, job_id: str) -> Job:
        try:
            return self.jobs[job_id]
        except KeyError:
            raise JobNotFound(f"there is no job {job_id}") from None

    def touch(self, job: Job) -> None:
        self.dirty[job.id] = job
        if job.status in ("succeeded", "failed", "cancelled"):
            self.ended.append(job)

    def point_keys(self, keys: Iterable[str], to: tuple[str, bytes] | None) -> None:
        """Lets keys stand for a job (id and fingerprint of the request), or sets them free."""
        for key in keys:
            self.rekeyed[key] = to
            if to is None:
                self.keys.pop(key, None)
            else:
                self.keys[key] = to

    def tell(self, stream: str, event_type: str, data: dict[str, Any], actor: str, **extensions: str) -> None:
        """An event of a stream that is no job's."""
        sequence = self.streams[stream] = self.streams.get(stream, 0) + 1
        document = {
            "specversion": SPEC_VERSION, "id": f"{stream}/{sequence}", "source": self.source, "type": event_type,
            "subject": stream, "time": to_rfc3339(self.now), "datacontenttype": "application/json",
            "sequence": str(sequence), "actor": actor, **extensions, "data": data,
        }  # fmt: skip
        if sequence > 1:
            document["causation"] = f"{stream}/{sequence - 1}"
        self.documents.append(document)


class Command:
    """One thing to do within a transaction."""

    late: ClassVar[bool] = False
    lazy: ClassVar[bool] = False

    def needs(self, needs: Needs, unit: Unit) -> None:
        """Adds what `apply` must find loaded."""

    def plan(self, needs: Needs, unit: Unit) -> None:
        """Adds what turns out to be needed once the schedules and alerts that `needs` asked for are loaded, and nothing else is."""

    def parts(self) -> "list[Command]":
        """What it is made of, where each can be done without the others."""
        return [self]

    def joined(self, answers: Sequence[Any]) -> Any:
        """Its answer from those of its parts; a fault stands for a part that was not done."""
        return [answer if isinstance(answer, BaseException) else answer[0] for answer in answers]

    def apply(self, unit: Unit) -> Any:
        raise TypeError(f"{type(self).__name__} does nothing")


def each(items: Iterable[Any], work: Callable[[Any], Any]) -> list[Any]:
    """`work` of each item; a fault stands in its place and does not touch the others."""
    results = []
    for item in items:
        try:
            results.append(work(item))
        except ObservatoryError as error:
            results.append(error)
    return results


def apply_all(commands: Iterable[Command], unit: Unit, results: dict[int, Any]) -> None:
    """The answer of each command under its id; a fault is an answer, too, and does not touch the others."""
    for command in commands:
        try:
            results[id(command)] = command.apply(unit)
        except ObservatoryError as error:
            results[id(command)] = error
    unit.settle()


def state_deltas(documents: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """(queue, type, state) -> change, of job events."""
    deltas: dict[tuple[str, str, str], int] = defaultdict(int)
    for document in documents:
        data = document["data"]
        target = data.get("to")
        if target is None:
            continue
        origin = data["from"]
        if origin == target:
            continue
        queue, job_type = document["queue"], document["jobtype"]
        deltas[queue, job_type, target] += 1
        if origin is not None:
            deltas[queue, job_type, origin] -= 1
    return deltas
