"""The half of `JobStore` that is commands: written once, inherited by every adapter that can run them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from contracts.alerts import Judge, Judgement
from contracts.errors import ObservatoryError, UnknownQueue
from contracts.job import Job, JobRequest
from contracts.schedule import Schedule, ScheduleSpec
from contracts.times import to_micros
from functions.stores import commands as cmd
from functions.stores.bulk import BulkOperation, BulkState
from functions.stores.job_store import Declared, Lease, QueueState, Resolve, Submitted, Tick
from functions.stores.moves import Ending


class Commanding:
    """An adapter brings `write`, which answers a command once it is committed, and `queues`."""

    async def write(self, command: Any) -> Any:
        raise TypeError(f"{type(self).__name__} cannot write")

    async def queues(self) -> list[QueueState]:
        raise TypeError(f"{type(self).__name__} knows no queues")

    # ---- the moves --------------------------------------------------------------------------------------------

    async def submit(self, requests: Sequence[JobRequest]) -> list[Submitted | ObservatoryError]:
        return await self.write(cmd.Submit(requests))

    async def claim(
        self, queue: str, limit: int, *, worker: str, instance: str, lease_seconds: float, cold_start_seconds: float | None = None,
        except_types: Collection[str] = (),
    ) -> list[Job]:  # fmt: skip
        return await self.write(cmd.Claim(queue, limit, worker, instance, to_micros(lease_seconds), cold_start_seconds, except_types))

    async def end_attempts(self, endings: Sequence[Ending]) -> list[str | ObservatoryError]:
        return await self.write(cmd.EndAttempts(endings))

    async def renew(self, leases: Sequence[tuple[str, int]], lease_seconds: float) -> list[Lease]:
        return await self.write(cmd.Renew(leases, to_micros(lease_seconds)))

    async def release(self, leases: Sequence[tuple[str, int]], reason: str) -> int:
        return await self.write(cmd.Release(leases, reason))

    async def progress(self, job_id: str, lease_token: int, progress: dict[str, Any]) -> None:
        await self.write(cmd.Progress(job_id, lease_token, progress))

    async def effect(self, job_id: str, lease_token: int, step: str, value: Any) -> Any:
        return await self.write(cmd.Effect(job_id, lease_token, step, value))

    async def cancel(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]:
        return await self.write(cmd.CancelJobs(job_ids, actor, reason))

    async def reopen(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]:
        return await self.write(cmd.Reopen(job_ids, actor, reason))

    async def tick(self, *, rescue_all: bool = False, limit: int = 500, resolve: Resolve | None = None) -> Tick:
        return await self.write(cmd.TickCommand(limit, rescue_all, resolve))

    async def bulk_step(
        self, operation: BulkOperation, at: int, job_ids: Sequence[str], outcomes: Sequence[tuple[str, str]] = ()
    ) -> BulkState | None:
        reason = operation.reason or f"bulk operation {operation.id}"
        return await self.write(cmd.BulkStep(operation.id, operation.action, at, operation.matched, job_ids, operation.actor, reason, outcomes))

    async def free_waiting(self, waiting: Mapping[str, Sequence[str]]) -> int:
        return await self.write(cmd.FreeWaiting(waiting))

    # ---- queues -----------------------------------------------------------------------------------------------

    async def declare_queues(self, declarations: Sequence[tuple[str, int | None, float | None, bool]]) -> None:
        known = {state.name: state for state in await self.queues()}
        for name, max_running, rate, paused in declarations:
            state = known.get(name)
            if state is None or (state.max_running, state.rate_per_second) != (max_running, rate):
                await self.write(cmd.QueueEvent(name, "configured", {
                    "name": name, "max_running": max_running, "rate_per_second": rate,
                    "paused": paused if state is None else state.paused}, "function:scheduler"))  # fmt: skip

    async def set_paused(self, queue: str, paused: bool, actor: str, reason: str | None) -> QueueState:
        state = await self._queue(queue)
        if state.paused != paused:
            data = {"name": queue, "reason": reason} if paused else {"name": queue}
            await self.write(cmd.QueueEvent(queue, "paused" if paused else "resumed", data, actor))
        return await self._queue(queue)

    async def _queue(self, name: str) -> QueueState:
        states = {state.name: state for state in await self.queues()}
        if name not in states:
            raise UnknownQueue(f"there is no queue {name!r}; known are {', '.join(sorted(states))}")
        return states[name]

    # ---- schedules --------------------------------------------------------------------------------------------

    async def put_schedule(self, name: str, spec: ScheduleSpec, actor: str) -> tuple[Schedule, str]:
        return await self.write(cmd.PutSchedule(name, spec, actor))

    async def declare_schedules(self, specs: Mapping[str, ScheduleSpec]) -> Declared:
        return await self.write(cmd.DeclareSchedules(dict(specs)))

    async def delete_schedule(self, name: str, actor: str, reason: str | None) -> None:
        await self.write(cmd.DeleteSchedule(name, actor, reason))

    async def pause_schedule(self, name: str, paused: bool, actor: str, reason: str | None) -> Schedule:
        return await self.write(cmd.PauseSchedule(name, paused, actor, reason))

    async def run_schedule(
        self, name: str, resolve: Resolve, actor: str, keys: tuple[str, ...] = (), fingerprint: bytes = b"", traceparent: str | None = None
    ) -> Submitted:
        return await self.write(cmd.RunSchedule(name, resolve, actor, keys, fingerprint, traceparent))

    # ---- alerts and dead letters ------------------------------------------------------------------------------

    async def judge_alerts(self, judge: Judge) -> Judgement:
        return await self.write(cmd.JudgeAlerts(judge))

    async def tell_of_dead_letter(self, letter_id: str, participle: str, data: dict[str, Any], actor: str) -> None:
        await self.write(cmd.DeadLetterEvent(letter_id, participle, data, actor))
