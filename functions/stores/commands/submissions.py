"""Commands that submit jobs, and what the end of a parent does to its children."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contracts import trace
from contracts.errors import (
    ContractViolation,
    Fault,
    IdempotencyConflict,
    ObservatoryError,
)
from contracts.job import Job, JobRequest, JobStatus
from functions.stores.commands.unit import Command, Needs, Unit
from functions.stores.job_store import Submitted
from functions.stores.moves import PROCESSOR


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
                needs.looked_at.add(request.parent_id)
            needs.looked_at.update(parent for parent in request.depends_on if not parent.startswith("#"))
            for parent in request.depends_on:
                if parent.startswith("#") and int(parent[1:]) < len(self.requests):
                    self._needs_parent(needs, self.requests[int(parent[1:])])

    @staticmethod
    def _needs_parent(needs: Needs, request: JobRequest) -> None:
        """An item that others wait for may turn out to be a job that is there already."""
        needs.parent_keys.update(request.keys)
        if request.unique_key is not None:
            needs.parent_uniques.add((request.type, request.unique_key))

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
        if (known := known_job(unit, job_id, request)) is not None:
            return known
        if (holder := holder_of_unique_key(unit, request)) is not None:
            unit.point_keys(request.keys, (holder.id, request.fingerprint))
            return Submitted(holder.id, holder.status, created=False, deduplicated=True)
        job = accept(unit, job_id, request, earlier)
        return Submitted(job.id, job.status, created=True)


def accept(
    unit: Unit, job_id: str, request: JobRequest, earlier: Sequence[Submitted | ObservatoryError], schedule: str | None = None
) -> Job:
    """The new job of a request whose keys are free; `earlier` are the answers that `#INDEX` may name. Only a firing, whose
    event is told in the same transaction, names its `schedule`."""
    parents = [_parent(unit, index, name, earlier) for index, name in enumerate(request.depends_on)]
    if parents:
        parents = list({parent.id: parent for parent in parents}.values())
        request = _with_parents(request, parents)
    root, first = None, parents[0] if parents else None
    if request.parent_id is not None:
        if request.parent_id not in unit.jobs:
            raise ContractViolation(faults=[Fault("/parent_id", f"there is no job {request.parent_id}")])
        first = unit.jobs[request.parent_id]
        root = first.root_id
    traceparent = _trace(job_id, first) if request.traceparent is None else None
    open_parents = [p for p in parents if not JobStatus(p.status).is_terminal]
    broken = [p for p in parents if p.status in ("failed", "cancelled")] if request.on_parent_failure == "cancel" else []
    job = unit.moves.accept(job_id, request, len(open_parents) or len(broken), root, schedule, traceparent)
    unit.jobs[job_id] = job
    unit.fresh.append(job)
    if request.unique_key is not None:
        unit.uniques[(request.type, request.unique_key)] = job
    if broken:
        unit.moves.cancel(job, PROCESSOR, f"its parent {broken[0].id} is {broken[0].status}", "parent")
    unit.edges.update(((parent.id, job_id), bool(broken) or parent not in open_parents) for parent in parents)
    return job


def holder_of_unique_key(unit: Unit, request: JobRequest) -> Job | None:
    """The job that holds the request's unique_key and has not ended."""
    if request.unique_key is None:
        return None
    holder = unit.uniques.get((request.type, request.unique_key))
    return holder if holder is not None and not JobStatus(holder.status).is_terminal else None


def known_job(unit: Unit, job_id: str, request: JobRequest) -> Submitted | None:
    """The job that an idempotency key of this request already stands for; from now on all its keys do."""
    unit.point_keys([key for key in request.keys if key not in unit.keys], (job_id, request.fingerprint))  # just set free
    for key in request.keys:
        holder, fingerprint = unit.keys[key]
        if holder == job_id:
            continue
        if holder not in unit.jobs and holder not in unit.gone:  # the job was dropped, and the key has had its day
            unit.point_keys([key], (job_id, request.fingerprint))
            continue
        if fingerprint != request.fingerprint:
            raise IdempotencyConflict
        unit.point_keys([key for key in request.keys if unit.keys[key][0] == job_id], (holder, fingerprint))
        status = unit.jobs[holder].status if holder in unit.jobs else unit.gone[holder]
        return Submitted(holder, status, created=False)
    return None


def _parent(unit: Unit, index: int, name: str, earlier: Sequence[Submitted | ObservatoryError]) -> Job:
    if name.startswith("#"):
        number = int(name[1:])
        found = earlier[number] if number < len(earlier) else None
        if isinstance(found, Submitted) and found.id in unit.jobs:
            return unit.jobs[found.id]
        if isinstance(found, Submitted):  # its key still answers, but retention dropped the job
            raise ContractViolation(faults=[Fault(f"/depends_on/{index}", f"the job of item {name}, {found.id}, ended and is kept no more")])
        raise ContractViolation(faults=[Fault(f"/depends_on/{index}", f"{name} is no accepted earlier item of this batch")])
    if name not in unit.jobs:
        raise ContractViolation(faults=[Fault(f"/depends_on/{index}", f"there is no job {name}")])
    return unit.jobs[name]


def _trace(job_id: str, parent: Job | None) -> str:
    """The trace of a job whose caller named none: that of the job which led to it, or a new one."""
    carried = trace.traceparent_of(parent.traceparent) if parent is not None else None
    return trace.begun_by(job_id) if parent is None or carried is None else trace.below_job(carried, parent.id)


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


@dataclass(slots=True)
class FreeWaiting(Command):
    """Jobs that wait though all their parents (given with each) have ended go the way that the last end should have sent them."""

    waiting: Mapping[str, Sequence[str]]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.ending.update(self.waiting)
        needs.looked_at.update(parent for parents in self.waiting.values() for parent in parents)

    def apply(self, unit: Unit) -> int:
        return sum(self._one(unit, unit.jobs[job_id], parents) for job_id, parents in self.waiting.items() if job_id in unit.jobs)

    @staticmethod
    def _one(unit: Unit, job: Job, parents: Sequence[str]) -> bool:
        if job.status != JobStatus.WAITING.value or job.open_parents:
            return False
        broken = [unit.jobs[parent] for parent in parents if parent in unit.jobs and unit.jobs[parent].status in ("failed", "cancelled")]
        if broken and job.on_parent_failure == "cancel":
            unit.moves.cancel(job, PROCESSOR, f"its parent {broken[0].id} is {broken[0].status}", "parent")
        else:
            unit.moves.release_child(job)
        unit.touch(job)
        return True
