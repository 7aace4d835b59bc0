"""`JobStore` on PostgreSQL 15 or later: many processes write at once, each in transactions of many commands."""

import inspect
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import ObservatoryError, UnknownQueue
from contracts.event import Event
from contracts.folding import Folded
from contracts.ids import UuidSequence
from contracts.job import Attempt, Job, JobRequest
from contracts.query import Query
from contracts.schedule import Schedule, ScheduleSpec
from contracts.times import to_micros
from functions.stores import commands as cmd
from functions.stores import faults
from functions.stores.backends import postgres_audit as audit
from functions.stores.backends import postgres_bulk as bulk
from functions.stores.backends import postgres_loading as loading
from functions.stores.backends import postgres_migrations as migrations
from functions.stores.backends import postgres_reading as reading
from functions.stores.backends import postgres_records as records
from functions.stores.backends import postgres_retention as retention
from functions.stores.backends import postgres_schedules as schedules
from functions.stores.backends import postgres_writing as writing
from functions.stores.backends.postgres_audience import Audience
from functions.stores.backends.postgres_clock import DatabaseClock
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_ear import Ear
from functions.stores.backends.postgres_placing import Placing
from functions.stores.backends.postgres_search import PostgresSearch
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.backends.postgres_turn import Turn
from functions.stores.backends.postgres_writer import Work, Writer
from functions.stores.bulk import BulkOperation, BulkState
from functions.stores.clock import Clock, elapsed_ns
from functions.stores.cursors import decode_numbers, encode_cursor
from functions.stores.job_store import (
    Committed,
    DeadLetter,
    Declared,
    Family,
    JobPage,
    Lease,
    Page,
    QueueState,
    Recovered,
    Refusal,
    Resolve,
    Submitted,
    Tick,
)
from functions.stores.moves import Ending
from functions.stores.retention import Checkpoint, Pruned, Retention

Check = Callable[[Event], None]


@dataclass(slots=True)
class SqlWrite:
    """A write that is no move: runs after the moves, in the same transaction, at its instant."""

    run: Callable[[Transaction, int], Awaitable[Any] | None]
    lazy: bool = False


class PostgresJobStore:
    """Jobs and their feed in `database`; `check` validates each event before it is stored. `migrate` makes the layout at the start."""

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        check: Check,
        migrate: bool = True,
        clock: Clock | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.database = database
        self._check, self._migrate, self._uniform = check, migrate, uniform
        self._database_clock = DatabaseClock()
        self._clock = clock or self._database_clock
        self._ids = UuidSequence()
        self._source = ""
        self._is_open = False
        self._walk = retention.Walk()
        self._seen = writing.Seen()
        self.search = PostgresSearch(database)
        self._make_parts()

    def _make_parts(self) -> None:
        seconds = self.database.seconds
        self._audience = Audience(self.database)
        self.placing = Placing(self.database.link(statement=seconds.statement, lock=seconds.placing), self._audience, seconds.placing)
        self.turn = Turn(self.database.link(statement=seconds.statement, lock=seconds.lock))
        self.ear = Ear(self.database.link(statement=seconds.statement, lock=seconds.lock), self._audience, self.placing.nudge)
        link = self.database.link(statement=seconds.statement, lock=seconds.lock)
        self.writer = Writer(link, self.placing, self._database_clock, self._transact)

    # ---- life -------------------------------------------------------------------------------------------------

    @classmethod
    def at(cls, url: str, *, check: Check, application: str = "observatory", **parts: Any) -> "PostgresJobStore":
        """Raises ConfigurationError for a URL that cannot be read."""
        return cls(PostgresDatabase(url, application=application), check=check, **parts)

    async def open(self) -> Recovered:
        """Raises StoreUnavailable while the database is away, ConfigurationError when its layout is another version's."""
        await (migrations.migrate if self._migrate else migrations.check)(self.database)
        await self.database.open()
        try:
            await self._set_clock()
            deployment, head, counts = await self.database.read(call("deployment"), call("head"), call("counts"))
        except BaseException:
            await self.database.close()
            raise
        self._source = deployment[0][0]
        self._audience.begin(head[0][0])
        self.writer.start()
        self.placing.start()
        self._is_open = True
        if self._audience.exists:
            self.ear.start()
        found: dict[str, int] = defaultdict(int)
        for (_, _, status), jobs in reading.by_state(counts).items():
            found[status] += jobs
        return Recovered(dict(found))

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        await self.search.close()
        await self.writer.stop()
        await self.ear.stop()
        await self.placing.stop()
        await self.turn.stop()
        await self.database.close()

    async def ping(self) -> None:
        await self._set_clock()

    async def _set_clock(self) -> None:
        asked = elapsed_ns()
        ((micros,),) = await self.database.rows("clock")
        self._database_clock.learn(asked, elapsed_ns(), micros)

    def now(self) -> int:
        return self._clock()

    @property
    def source(self) -> str:
        return self._source

    def on_committed(self, callback: Committed, wanted: Callable[[], bool] | None = None) -> None:
        self._audience.add(callback, wanted)
        if self._is_open:
            self.ear.start()

    # ---- the one transaction ----------------------------------------------------------------------------------

    async def _transact(self, transaction: Transaction, commands: Sequence[Any]) -> Work:
        now = self.now()
        results: dict[int, Any] = {}
        documents: list[dict[str, Any]] = []
        for late in (False, True):
            part = [command for command in commands if isinstance(command, cmd.Command) and command.late is late]
            if part:
                unit = cmd.Unit(self._source, now, self._ids, self._uniform)
                await self._do(transaction, unit, part, results)
                documents += unit.documents
        for command in commands:
            if isinstance(command, SqlWrite):
                answer = command.run(transaction, now)
                results[id(command)] = await answer if inspect.isawaitable(answer) else answer
        events = writing.checked(documents, self._check)
        faults.reach("inserted")
        told = await transaction.commit(*([writing.told(events, now)] if events else ()))
        return Work([results[id(command)] for command in commands], events, told[0][0][0] if events else None)

    async def _do(self, transaction: Transaction, unit: cmd.Unit, part: Sequence[cmd.Command], results: dict[int, Any]) -> None:
        needs = cmd.Needs()
        for command in part:
            command.needs(needs, unit)
        await loading.load_schedules(transaction, needs, unit)
        for command in part:
            command.plan(needs, unit)
        families = await loading.load(transaction, needs, unit)
        unit.settle = lambda: cmd.settle_children(unit, lambda parents: families.children(unit, parents))
        for command in part:
            try:
                results[id(command)] = command.apply(unit)
            except ObservatoryError as error:
                results[id(command)] = error
        unit.settle()
        writing.flush(transaction, unit, families, self._seen)

    async def _ask(self, command: Any) -> Any:
        return await self.writer.ask(command)

    # ---- the moves --------------------------------------------------------------------------------------------

    async def submit(self, requests: Sequence[JobRequest]) -> list[Submitted | ObservatoryError]:
        return await self._ask(cmd.Submit(requests))

    async def claim(
        self, queue: str, limit: int, *, worker: str, instance: str, lease_seconds: float, cold_start_seconds: float | None = None
    ) -> list[Job]:
        return await self._ask(cmd.Claim(queue, limit, worker, instance, to_micros(lease_seconds), cold_start_seconds))

    async def end_attempts(self, endings: Sequence[Ending]) -> list[str | ObservatoryError]:
        return await self._ask(cmd.EndAttempts(endings))

    async def renew(self, leases: Sequence[tuple[str, int]], lease_seconds: float) -> list[Lease]:
        return await self._ask(cmd.Renew(leases, to_micros(lease_seconds)))

    async def release(self, leases: Sequence[tuple[str, int]], reason: str) -> int:
        return await self._ask(cmd.Release(leases, reason))

    async def progress(self, job_id: str, lease_token: int, progress: dict[str, Any]) -> None:
        await self._ask(cmd.Progress(job_id, lease_token, progress))

    async def effect(self, job_id: str, lease_token: int, step: str, value: Any) -> Any:
        return await self._ask(cmd.Effect(job_id, lease_token, step, value))

    async def effects(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return await reading.effects(self.database, job_ids)

    async def cancel(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]:
        return await self._ask(cmd.CancelJobs(job_ids, actor, reason))

    async def reopen(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]:
        return await self._ask(cmd.Reopen(job_ids, actor, reason))

    async def tick(self, *, rescue_all: bool = False, limit: int = 500, resolve: Resolve | None = None) -> Tick:
        done: Tick = await self._ask(cmd.TickCommand(limit, rescue_all, resolve))
        await self.placing.place_all()  # what those committed who died before they could place it
        return done

    # ---- queues -----------------------------------------------------------------------------------------------

    async def declare_queues(self, declarations: Sequence[tuple[str, int | None, float | None, bool]]) -> None:
        known = {state.name: state for state in await self.queues()}
        for name, max_running, rate, paused in declarations:
            state = known.get(name)
            if state is None or (state.max_running, state.rate_per_second) != (max_running, rate):
                await self._ask(cmd.QueueEvent(name, "configured", {
                    "name": name, "max_running": max_running, "rate_per_second": rate,
                    "paused": paused if state is None else state.paused}, "function:scheduler"))  # fmt: skip

    async def set_paused(self, queue: str, paused: bool, actor: str, reason: str | None) -> QueueState:
        state = await self._queue(queue)
        if state.paused != paused:
            data = {"name": queue, "reason": reason} if paused else {"name": queue}
            await self._ask(cmd.QueueEvent(queue, "paused" if paused else "resumed", data, actor))
        return await self._queue(queue)

    async def _queue(self, name: str) -> QueueState:
        states = {state.name: state for state in await self.queues()}
        if name not in states:
            raise UnknownQueue(f"there is no queue {name!r}; known are {', '.join(sorted(states))}")
        return states[name]

    async def queues(self) -> list[QueueState]:
        return await reading.queues(self.database)

    # ---- schedules --------------------------------------------------------------------------------------------

    async def put_schedule(self, name: str, spec: ScheduleSpec, actor: str) -> tuple[Schedule, str]:
        return await self._ask(cmd.PutSchedule(name, spec, actor))

    async def declare_schedules(self, specs: Mapping[str, ScheduleSpec]) -> Declared:
        return await self._ask(cmd.DeclareSchedules(dict(specs)))

    async def delete_schedule(self, name: str, actor: str, reason: str | None) -> None:
        await self._ask(cmd.DeleteSchedule(name, actor, reason))

    async def pause_schedule(self, name: str, paused: bool, actor: str, reason: str | None) -> Schedule:
        return await self._ask(cmd.PauseSchedule(name, paused, actor, reason))

    async def run_schedule(
        self, name: str, resolve: Resolve, actor: str, keys: tuple[str, ...] = (), fingerprint: bytes = b""
    ) -> Submitted:
        return await self._ask(cmd.RunSchedule(name, resolve, actor, keys, fingerprint))

    async def schedule(self, name: str) -> Schedule:
        return await schedules.read_one(self.database, name)

    async def schedules(self, limit: int, cursor: str | None) -> Page[Schedule]:
        return await schedules.read_page(self.database, limit, cursor)

    # ---- the feed ---------------------------------------------------------------------------------------------

    async def head(self) -> int:
        return await reading.head(self.database)

    async def feed(self, after: int, limit: int) -> list[Event]:
        return await reading.feed(self.database, after, limit)

    async def dropped(self) -> int:
        return int((await self.database.rows("dropped"))[0][0])

    async def cursors(self) -> dict[str, int]:
        return dict(await self.database.rows("cursors"))

    async def take_turn(self) -> bool:
        return await self.turn.take()

    async def give_turn(self) -> None:
        await self.turn.give()

    async def advance(self, cursor: str, position: int) -> None:
        await self._ask(SqlWrite(lambda transaction, now: transaction.add("advance", name=cursor, position=position), lazy=True))

    async def forget_cursor(self, cursor: str) -> None:
        await self._ask(SqlWrite(lambda transaction, now: transaction.add("forget_cursor", name=cursor)))

    # ---- bulk -------------------------------------------------------------------------------------------------

    async def begin_bulk(self, operation: BulkOperation, job_ids: Sequence[str]) -> None:
        await self._ask(SqlWrite(lambda transaction, now: bulk.begin(transaction, operation, job_ids)))

    async def bulk(self, operation: str) -> BulkOperation:
        return await bulk.one(self.database, operation)

    async def bulks(self, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
        return await bulk.newest(self.database, limit, open_only=open_only)

    async def bulk_items(self, operation: str, at: int, limit: int) -> list[str]:
        return await bulk.items(self.database, operation, at, limit)

    async def bulk_step(
        self, operation: BulkOperation, at: int, job_ids: Sequence[str], outcomes: Sequence[tuple[str, str]] = ()
    ) -> BulkState | None:
        reason = operation.reason or f"bulk operation {operation.id}"
        return await self._ask(cmd.BulkStep(operation.id, operation.action, at, operation.matched, job_ids, operation.actor, reason, outcomes))

    # ---- retention --------------------------------------------------------------------------------------------

    async def prune(self, keep: Retention) -> Pruned:
        plan = await retention.plan(self.database, keep, self.now(), self._walk)
        done = Pruned(more=plan.more, over=plan.over)
        if plan:
            done = await self._ask(SqlWrite(lambda transaction, now: retention.drop(transaction, plan, now)))
        self._walk = plan.walk
        return done

    async def prune_settled(self, before: int, before_minute: int) -> None:
        await self._ask(SqlWrite(lambda transaction, now: retention.drop_settled(transaction, before, before_minute), lazy=True))

    async def checkpoint(self) -> Checkpoint | None:
        return await retention.checkpoint(self.database)

    async def pruned_states(self) -> dict[tuple[str, str, str], int]:
        return reading.by_state(await self.database.rows("checkpoint_states"))

    # ---- reading ----------------------------------------------------------------------------------------------

    async def job(self, job_id: str) -> Job:
        return await reading.job(self.database, job_id)

    async def family(self, job_id: str, limit: int) -> Family:
        return await reading.family(self.database, job_id, limit)

    async def statuses(self, job_ids: Sequence[str]) -> dict[str, str]:
        return await reading.statuses(self.database, job_ids)

    async def jobs(self, where: Query, limit: int, cursor: str | None) -> JobPage:
        before, now = (reading.ABOVE_ALL, self.now()) if cursor is None else decode_numbers(cursor)
        found = await self.search.find(where, now, before, limit + 1)
        following = encode_cursor(f"{found.jobs[limit - 1][0]}-{now}") if len(found.jobs) > limit else None
        return JobPage([job for _, job in found.jobs[:limit]], following, found.indexed_to, found.head)

    async def open_search(self, shown: Callable[[str, Any], Any], version: str) -> None:
        await self.search.open(shown, version)

    async def events_of(self, stream: str, after_sequence: int = 0, limit: int = 10_000) -> list[Event]:
        return await reading.events_of(self.database, stream, after_sequence, limit)

    async def recent_events(self, limit: int, before: int | None, event_type: str | None) -> list[Event]:
        return await reading.recent_events(self.database, limit, before, event_type)

    async def find_events(self, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Page[Event]:
        return await reading.find_events(self.database, types, stream, limit, before)

    async def attempts(self, job_id: str) -> list[Attempt]:
        return await reading.attempts(self.database, job_id)

    async def counts(self) -> dict[tuple[str, str, str], int]:
        return reading.by_state(await self.database.rows("counts"))

    # ---- audit ------------------------------------------------------------------------------------------------

    async def counted(self) -> tuple[int, dict[tuple[str, str, str], int]]:
        return await audit.counted(self.database)

    async def jobs_with_history(self, after: int, limit: int) -> list[audit.History]:
        return await audit.jobs_with_history(self.database, after, limit)

    async def schedules_with_history(self) -> list[tuple[str, Schedule | None, list[Event]]]:
        return await schedules.with_history(self.database)

    async def restore_schedules(self, rows: Mapping[str, Schedule | None]) -> None:
        await self._ask(SqlWrite(lambda transaction, now: schedules.write(transaction, rows)))

    async def missing(self, job_ids: Sequence[str]) -> list[str]:
        return await audit.missing(self.database, job_ids)

    async def restore(self, histories: Sequence[tuple[str, Folded]]) -> None:
        await self._ask(SqlWrite(lambda transaction, now: audit.restore(transaction, histories)))

    # ---- dead letters and refusals ----------------------------------------------------------------------------

    async def keep_dead_letter(self, letter: DeadLetter) -> None:
        await self._ask(SqlWrite(lambda transaction, now: records.keep_dead_letter(transaction, letter)))

    async def dead_letters(self, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]:
        return await reading.dead_letters(self.database, limit, cursor, status)

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        return await reading.dead_letter(self.database, letter_id)

    async def dead_letter_counts(self) -> dict[str, int]:
        return dict(await self.database.rows("dead_letter_counts"))

    async def dead_letter_of(self, trigger: str, source: str, event_id: str) -> DeadLetter | None:
        return await reading.dead_letter_of(self.database, trigger, source, event_id)

    async def resolve_dead_letters(self, triggers: Sequence[str], position: int) -> int:
        if not (await self.dead_letter_counts()).get("kept"):
            return 0
        return int(await self._ask(SqlWrite(lambda transaction, now: records.resolve_dead_letters(transaction, triggers, position))))

    async def tell_of_dead_letter(self, letter_id: str, participle: str, data: dict[str, Any], actor: str) -> None:
        await self._ask(cmd.DeadLetterEvent(letter_id, participle, data, actor))

    async def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        # the minute is that of the commit: a tick may have told the one before already
        await self._ask(SqlWrite(lambda transaction, now: records.record_refusals(transaction, refusals, now), lazy=True))

    async def refusals(self, limit: int, subject_type: str | None = None) -> list[dict[str, Any]]:
        return await reading.refusals(self.database, limit, subject_type)
