"""What a store does within one transaction, written once for every store.

A command first says what it needs (`needs`); the adapter loads that into a `Unit`; the command changes the unit
(`apply`) by the moves; the adapter writes what changed, and commits many commands together. A command that raises an
ObservatoryError before it changed anything fails alone. `late` commands (claims, ticks) see what the others of the same
transaction wrote; `lazy` ones may wait a moment for a commit that happens anyway.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from contracts.errors import (
    ContractViolation,
    Fault,
    IdempotencyConflict,
    JobNotFound,
    ObservatoryError,
    UniqueKeyTaken,
)
from contracts.event import SPEC_VERSION
from contracts.event_types import CONTRACT_REFUSED, full_name
from contracts.ids import UuidSequence
from contracts.job import Attempt, Job, JobRequest, JobStatus
from contracts.times import to_rfc3339
from functions.stores.job_store import Lease, Submitted, Tick
from functions.stores.moves import PROCESSOR, Ending, Moves, check_lease

MINUTE = 60_000_000


@dataclass(slots=True)
class Needs:
    """What the commands of one transaction must find loaded."""

    job_ids: set[str] = field(default_factory=set)
    keys: list[tuple[str, str, bytes]] = field(default_factory=list)  # key, job id, fingerprint: reserved if free
    uniques: set[tuple[str, str]] = field(default_factory=set)
    effects: set[tuple[str, str]] = field(default_factory=set)
    claims: dict[str, int] = field(default_factory=dict)  # queue -> how many at most
    tick: int = 0  # how many due, lost and expired jobs at most
    rescue_all: bool = False
    streams: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Unit:
    """One transaction's view: what was loaded, and what is to be written."""

    source: str
    now: int
    ids: UuidSequence
    random: Callable[[], float]
    jobs: dict[str, Job] = field(default_factory=dict)
    keys: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uniques: dict[tuple[str, str], Job] = field(default_factory=dict)
    effects: dict[tuple[str, str], Any] = field(default_factory=dict)
    claimable: dict[str, list[Job]] = field(default_factory=dict)
    due: list[Job] = field(default_factory=list)
    lost: list[Job] = field(default_factory=list)
    expired: list[Job] = field(default_factory=list)
    untold_refusals: list[tuple[int, str, str, int]] = field(default_factory=list)  # minute, type, reason, count
    paused: dict[str, bool] = field(default_factory=dict)  # of each queue that is known
    next_due_at: int | None = None
    streams: dict[str, int] = field(default_factory=dict)

    fresh: list[Job] = field(default_factory=list)
    dirty: dict[str, Job] = field(default_factory=dict)
    documents: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    edges: dict[tuple[str, str], bool] = field(default_factory=dict)  # (parent, child) -> whether the parent's end counted
    rekeyed: dict[str, tuple[str, bytes] | None] = field(default_factory=dict)  # keys that stand for another job now, or for none
    new_effects: list[tuple[str, str, int, Any]] = field(default_factory=list)
    ended: list[Job] = field(default_factory=list)  # their children are not settled yet
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

    def tell(self, stream: str, event_type: str, data: dict[str, Any], actor: str) -> None:
        """An event of a stream that is no job's."""
        sequence = self.streams[stream] = self.streams.get(stream, 0) + 1
        self.documents.append({
            "specversion": SPEC_VERSION, "id": f"{stream}/{sequence}", "source": self.source, "type": event_type,
            "subject": stream, "time": to_rfc3339(self.now), "datacontenttype": "application/json",
            "sequence": str(sequence), "actor": actor, "data": data,
        })  # fmt: skip


class Command:
    """One thing to do within a transaction."""

    late: ClassVar[bool] = False
    lazy: ClassVar[bool] = False

    def needs(self, needs: Needs, unit: Unit) -> None:
        """Adds what `apply` must find loaded."""

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


# ---- submissions ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Submit(Command):
    requests: Sequence[JobRequest]
    ids: list[str] = field(default_factory=list)

    def needs(self, needs: Needs, unit: Unit) -> None:
        self.ids = [unit.ids.next(unit.now) for _ in self.requests]
        for job_id, request in zip(self.ids, self.requests, strict=True):
            for key in request.keys:
                needs.keys.append((key, job_id, request.fingerprint))
            if request.unique_key is not None:
                needs.uniques.add((request.type, request.unique_key))
            if request.parent_id is not None:
                needs.job_ids.add(request.parent_id)
            needs.job_ids.update(parent for parent in request.depends_on if not parent.startswith("#"))

    def apply(self, unit: Unit) -> list[Submitted | ObservatoryError]:
        results: list[Submitted | ObservatoryError] = []
        for job_id, request in zip(self.ids, self.requests, strict=True):
            try:
                results.append(self._one(unit, job_id, request, results))
            except ObservatoryError as error:
                unit.point_keys([key for key in request.keys if unit.keys[key][0] == job_id], None)
                results.append(error)
        return results

    def _one(self, unit: Unit, job_id: str, request: JobRequest, earlier: Sequence[Submitted | ObservatoryError]) -> Submitted:
        if (known := _known(unit, job_id, request)) is not None:
            return known
        if request.unique_key is not None:
            holder = unit.uniques.get((request.type, request.unique_key))
            if holder is not None and holder.status not in ("succeeded", "failed", "cancelled"):
                unit.point_keys(request.keys, (holder.id, request.fingerprint))
                return Submitted(holder.id, holder.status, created=False, deduplicated=True)
        job = self._accept(unit, job_id, request, earlier)
        return Submitted(job.id, job.status, created=True)

    def _accept(self, unit: Unit, job_id: str, request: JobRequest, earlier: Sequence[Submitted | ObservatoryError]) -> Job:
        parents = [_parent(unit, index, name, earlier) for index, name in enumerate(request.depends_on)]
        if parents:
            parents = list({parent.id: parent for parent in parents}.values())
            request = _with_parents(request, parents)
        root = None
        if request.parent_id is not None:
            if request.parent_id not in unit.jobs:
                raise ContractViolation(faults=[Fault("/parent_id", f"there is no job {request.parent_id}")])
            root = unit.jobs[request.parent_id].root_id
        open_parents = [p for p in parents if not JobStatus(p.status).is_terminal]
        broken = [p for p in parents if p.status in ("failed", "cancelled")] if request.on_parent_failure == "cancel" else []
        job = unit.moves.accept(job_id, request, len(open_parents) or len(broken), root)
        unit.jobs[job_id] = job
        unit.fresh.append(job)
        if request.unique_key is not None:
            unit.uniques[(request.type, request.unique_key)] = job
        if broken:
            unit.moves.cancel(job, PROCESSOR, f"its parent {broken[0].id} is {broken[0].status}", "parent")
        else:
            unit.edges.update(((parent.id, job_id), False) for parent in open_parents)
        return job


def _known(unit: Unit, job_id: str, request: JobRequest) -> Submitted | None:
    """The job that an idempotency key of this request already stands for; from now on all its keys do."""
    unit.point_keys([key for key in request.keys if key not in unit.keys], (job_id, request.fingerprint))  # just set free
    for key in request.keys:
        holder, fingerprint = unit.keys[key]
        if holder == job_id:
            continue
        if fingerprint != request.fingerprint:
            raise IdempotencyConflict
        unit.point_keys([key for key in request.keys if unit.keys[key][0] == job_id], (holder, fingerprint))
        return Submitted(holder, unit.jobs[holder].status, created=False)
    return None


def _parent(unit: Unit, index: int, name: str, earlier: Sequence[Submitted | ObservatoryError]) -> Job:
    if name.startswith("#"):
        number = int(name[1:])
        found = earlier[number] if number < len(earlier) else None
        if isinstance(found, Submitted):
            return unit.jobs[found.id]
        raise ContractViolation(faults=[Fault(f"/depends_on/{index}", f"{name} is no accepted earlier item of this batch")])
    if name not in unit.jobs:
        raise ContractViolation(faults=[Fault(f"/depends_on/{index}", f"there is no job {name}")])
    return unit.jobs[name]


def _with_parents(request: JobRequest, parents: Sequence[Job]) -> JobRequest:
    return replace(request, depends_on=[parent.id for parent in parents])


def settle_children(unit: Unit, children_of: Callable[[Sequence[str]], dict[str, list[Job]]]) -> None:
    """In the commit that ends a parent: releases or cancels its waiting children, and theirs.

    `children_of` loads the children that wait for ended jobs: parent id -> jobs (the same objects as in `unit.jobs`).
    """
    while unit.ended:
        ended, unit.ended = unit.ended, []
        children = children_of([job.id for job in ended])
        for parent in ended:
            for child in children.pop(parent.id, ()):
                if child.status != JobStatus.WAITING.value:
                    continue
                if parent.status != "succeeded" and child.on_parent_failure == "cancel":
                    unit.moves.cancel(child, PROCESSOR, f"its parent {parent.id} is {parent.status}", "parent")
                else:
                    child.open_parents -= 1
                    if child.open_parents == 0:
                        unit.moves.release_child(child)
                unit.touch(child)


# ---- running ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Claim(Command):
    late: ClassVar[bool] = True
    queue: str
    limit: int
    worker: str
    instance: str
    lease_micros: int
    cold_start_seconds: float | None = None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.claims[self.queue] = needs.claims.get(self.queue, 0) + self.limit

    def apply(self, unit: Unit) -> list[Job]:
        found = [job for job in unit.claimable.get(self.queue, ()) if job.status == "queued"]  # a tick may have ended some
        mine, unit.claimable[self.queue] = found[: self.limit], found[self.limit :]
        for job in mine:
            unit.moves.claim(
                job, worker=self.worker, instance=self.instance, lease_micros=self.lease_micros, cold_start_seconds=self.cold_start_seconds
            )
            unit.touch(job)
        return mine


@dataclass(slots=True)
class EndAttempts(Command):
    endings: Sequence[Ending]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(ending.job_id for ending in self.endings)

    def apply(self, unit: Unit) -> list[str | ObservatoryError]:
        return each(self.endings, lambda ending: self._one(unit, ending))

    @staticmethod
    def _one(unit: Unit, ending: Ending) -> str:
        job = unit.job(ending.job_id)
        attempt, claimed_at = job.attempt, job.started_at
        outcome = unit.moves.end_attempt(job, ending)
        unit.touch(job)
        unit.attempts.append(
            Attempt(job.id, ending.lease_token, attempt, ending.worker or job.worker or "", ending.instance, claimed_at or unit.now,
                       ending.began_at, unit.now, outcome, ending.error, ending.output)
        )  # fmt: skip
        return outcome


@dataclass(slots=True)
class Renew(Command):
    leases: Sequence[tuple[str, int]]
    lease_micros: int

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(job_id for job_id, _ in self.leases)

    def apply(self, unit: Unit) -> list[Lease]:
        return [self._one(unit, job_id, token) for job_id, token in self.leases]

    def _one(self, unit: Unit, job_id: str, token: int) -> Lease:
        job = unit.jobs.get(job_id)
        if job is None or job.status != "running" or job.lease_token != token:
            return Lease(job_id, token, "lost")
        job.lease_until = unit.now + self.lease_micros
        unit.touch(job)
        return Lease(job_id, token, "cancelling" if job.cancel_requested_at is not None else "held")


@dataclass(slots=True)
class Release(Command):
    leases: Sequence[tuple[str, int]]
    reason: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(job_id for job_id, _ in self.leases)

    def apply(self, unit: Unit) -> int:
        done = 0
        for job_id, token in self.leases:
            job = unit.jobs.get(job_id)
            if job is None or job.status != "running" or job.lease_token != token:
                continue
            attempt, claimed_at = job.attempt, job.started_at
            outcome = unit.moves.release(job, token, self.reason)
            unit.touch(job)
            unit.attempts.append(
                Attempt(job_id, token, attempt, job.worker or "", job.worker or "", claimed_at or unit.now,
                           None, unit.now, outcome, None, None)
            )  # fmt: skip
            done += 1
        return done


@dataclass(slots=True)
class Progress(Command):
    job_id: str
    lease_token: int
    progress: dict[str, Any]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.add(self.job_id)

    def apply(self, unit: Unit) -> None:
        job = unit.job(self.job_id)
        unit.moves.progress(job, self.lease_token, self.progress)
        unit.touch(job)


@dataclass(slots=True)
class Effect(Command):
    job_id: str
    lease_token: int
    step: str
    value: Any

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.add(self.job_id)
        needs.effects.add((self.job_id, self.step))

    def apply(self, unit: Unit) -> Any:
        check_lease(unit.job(self.job_id), self.lease_token)
        key = (self.job_id, self.step)
        if key not in unit.effects:
            unit.effects[key] = self.value
            unit.new_effects.append((self.job_id, self.step, self.lease_token, self.value))
        return unit.effects[key]


# ---- a person's wishes, and time's ------------------------------------------------------------------------------


@dataclass(slots=True)
class CancelJobs(Command):
    job_ids: Sequence[str]
    actor: str
    reason: str | None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(self.job_ids)

    def apply(self, unit: Unit) -> list[Job | ObservatoryError]:
        return each(self.job_ids, lambda job_id: self._one(unit, job_id))

    def _one(self, unit: Unit, job_id: str) -> Job:
        job = unit.job(job_id)
        if job.status == "cancelled":
            return job  # asking twice is no fault
        unit.moves.cancel(job, self.actor, self.reason)
        unit.touch(job)
        return job


@dataclass(slots=True)
class Reopen(Command):
    job_ids: Sequence[str]
    actor: str
    reason: str | None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(self.job_ids)

    def apply(self, unit: Unit) -> list[Job | ObservatoryError]:
        unit.settle()  # what ended in this transaction has ended for its children, whatever becomes of it now
        return each(self.job_ids, lambda job_id: self._one(unit, job_id))

    def _one(self, unit: Unit, job_id: str) -> Job:
        job = unit.job(job_id)
        if job.unique_key is not None:
            holder = unit.uniques.get((job.type, job.unique_key))
            if holder is not None and holder.id != job_id and not JobStatus(holder.status).is_terminal:
                raise UniqueKeyTaken(f"job {holder.id} holds the unique_key {job.unique_key!r} of job {job_id} now")
        unit.moves.reopen(job, self.actor, self.reason)
        unit.touch(job)
        if job.unique_key is not None:
            unit.uniques[job.type, job.unique_key] = job
        return job


@dataclass(slots=True)
class TickCommand(Command):
    late: ClassVar[bool] = True
    limit: int
    rescue_all: bool = False

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.tick = max(needs.tick, self.limit)
        needs.rescue_all |= self.rescue_all

    def apply(self, unit: Unit) -> Tick:
        due, unit.due = unit.due, []
        lost, unit.lost = unit.lost, []
        expired, unit.expired = [job for job in unit.expired if job.lease_token == 0], []  # a claim may have come before
        for job in expired:
            unit.moves.expire(job)
            unit.touch(job)
        for job in due:
            if job.status in ("scheduled", "retrying"):
                unit.moves.release_due(job)
                unit.touch(job)
        for job in lost:
            self._rescue(unit, job)
        self._tell_refusals(unit)
        more = max(len(due), len(lost), len(expired)) >= self.limit
        return Tick(len(due), len(lost), len(expired), unit.next_due_at, more)

    @staticmethod
    def _rescue(unit: Unit, job: Job) -> None:
        attempt, claimed_at, worker = job.attempt, job.started_at, job.worker or ""
        outcome = unit.moves.rescue(job)
        unit.touch(job)
        unit.attempts.append(
            Attempt(job.id, job.lease_token, attempt, worker, worker, claimed_at or unit.now, None, unit.now, outcome, job.error, None)
        )

    @staticmethod
    def _tell_refusals(unit: Unit) -> None:
        untold, unit.untold_refusals = unit.untold_refusals, []
        for minute, subject_type, reason, count in untold:
            data = {"subject_type": subject_type, "reason": reason, "count": count, "minute": to_rfc3339(minute * MINUTE)}
            unit.tell(f"contract/{subject_type}", CONTRACT_REFUSED, data, "function:scheduler")


@dataclass(slots=True)
class QueueEvent(Command):
    """Tells a fact of a queue's stream; the adapter writes the row beside it."""

    queue: str
    participle: str  # configured | paused | resumed
    data: dict[str, Any]
    actor: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.streams.add(f"queue/{self.queue}")

    def apply(self, unit: Unit) -> None:
        if self.participle != "configured":
            paused = self.participle == "paused"
            if unit.paused.get(self.queue) is paused:
                return  # somebody was faster
            unit.paused[self.queue] = paused
        unit.tell(f"queue/{self.queue}", full_name(f"queue.{self.participle}"), self.data, self.actor)


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
