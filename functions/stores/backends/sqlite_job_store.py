"""`JobStore` on SQLite: the embedded default. One file, one writing process, group commit."""

import random
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.alerts import Alert
from contracts.errors import ConfigurationError, NotFound
from contracts.event import Event
from contracts.folding import Folded
from contracts.ids import UuidSequence
from contracts.job import Attempt, Job
from contracts.query import Query
from contracts.schedule import Schedule
from contracts.times import to_micros
from functions.stores import commands as cmd
from functions.stores.backends import sqlite_alerts as alerts
from functions.stores.backends import sqlite_audit as audit
from functions.stores.backends import sqlite_bulk as bulk
from functions.stores.backends import sqlite_loading as loading
from functions.stores.backends import sqlite_reading as reading
from functions.stores.backends import sqlite_records as records
from functions.stores.backends import sqlite_retention as retention
from functions.stores.backends import sqlite_schedules as schedules
from functions.stores.backends import sqlite_writing as writing
from functions.stores.backends.sqlite_database import SqliteDatabase, one
from functions.stores.backends.sqlite_search import SqliteSearch
from functions.stores.backends.sqlite_state import SqlWrite, StateWrite, WriterState
from functions.stores.bulk import BulkOperation
from functions.stores.clock import Clock, MonotonicClock, wall_clock
from functions.stores.commanding import Commanding
from functions.stores.cursors import decode_numbers, encode_cursor
from functions.stores.job_store import (
    Committed,
    DeadLetter,
    Family,
    JobPage,
    Page,
    QueueState,
    Recovered,
    Refusal,
    Waiting,
)
from functions.stores.pruning import Walk
from functions.stores.retention import STATUSES, Checkpoint, Pruned, Retention

Check = Callable[[Event], None]
ABOVE_ALL = 1 << 62


class SqliteJobStore(Commanding):
    """Jobs and their feed in `database`; `check` validates each event before it is stored."""

    def __init__(
        self,
        database: SqliteDatabase,
        *,
        check: Check,
        wall: Clock = wall_clock,
        clock: Clock | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.database = database
        self._check = check
        self._wall = wall
        self._clock = clock
        self._uniform = uniform
        self._ids = UuidSequence()
        self._source = ""
        self._callbacks: list[Committed] = []
        self._state = WriterState()
        self._walk = Walk()
        self.search = SqliteSearch(database)

    # ---- life -------------------------------------------------------------------------------------------------

    @classmethod
    def at(cls, path: Path, *, check: Check, **parts: Any) -> "SqliteJobStore":
        return cls(SqliteDatabase(path), check=check, **parts)

    async def open(self) -> Recovered:
        """Raises ConfigurationError for a file that cannot be used."""
        try:
            return self._open()
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"{self.database.path} cannot be used: {error}; put a copy of it in its place, or choose another folder with OBSERVATORY_DATA"
            ) from error

    def _open(self) -> Recovered:
        connection = self.database.open()
        self._source = self._deployment(connection)
        if self._clock is None:
            last = one(connection, "SELECT max(time) FROM (SELECT time FROM (SELECT time FROM events ORDER BY position DESC LIMIT 1)"
                       " UNION ALL SELECT as_of FROM checkpoints)") or 0  # fmt: skip
            self._clock = MonotonicClock(last + 1, self._wall)
        self._state = WriterState.load(connection)
        for gone in ("holds", "workers"):  # whoever had them, and whoever asked for jobs, is dead: one process at a time writes here
            connection.execute(f"DELETE FROM {gone}")
        counts: dict[str, int] = defaultdict(int)
        for (_, _, status), jobs in self._state.counts.items():
            counts[status] += jobs
        self.database.start(connection, self._run_batch, self._told)
        return Recovered(dict(counts))

    async def identify(self) -> None:
        """Learns whose store it is without opening it to write."""
        self._source = str(await self.database.read(lambda connection: one(connection, "SELECT source FROM deployment")))

    def _deployment(self, connection: sqlite3.Connection) -> str:
        source = one(connection, "SELECT source FROM deployment")
        if source is None:
            source = f"urn:observatory:{uuid.uuid4()}"
            connection.execute("INSERT INTO deployment VALUES (1, ?, ?)", (source, self._wall()))
        return str(source)

    async def close(self) -> None:
        await self.search.close()
        await self.database.close()

    async def ping(self) -> None:
        await self.database.read(lambda connection: one(connection, "SELECT 1"))

    def now(self) -> int:
        assert self._clock is not None, "the store is not open"
        return self._clock()

    @property
    def source(self) -> str:
        return self._source

    def on_committed(self, callback: Committed, wanted: Callable[[], bool] | None = None) -> None:
        """The events are at hand here, so whoever listens gets them all."""
        self._callbacks.append(callback)

    def on_own_committed(self, callback: Committed) -> None:
        self._callbacks.append(callback)

    def on_moved(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(lambda events: callback())

    # ---- the one transaction ----------------------------------------------------------------------------------

    def _run_batch(self, connection: sqlite3.Connection, batch: Sequence[Any]) -> tuple[list[Any], list[Event], Callable[[], None]]:
        """On the writer's thread, inside a transaction."""
        state = self._state.copy()
        results: dict[int, Any] = {}
        events: list[Event] = []
        for late in (False, True):
            part = [command for command in batch if isinstance(command, cmd.Command) and command.late is late]
            if part:
                unit = cmd.Unit(self._source, self.now(), self._ids, self._uniform)
                events += self._run_part(connection, state, unit, part, results)
        for command in batch:
            if isinstance(command, SqlWrite):
                results[id(command)] = command.run(connection)
            elif isinstance(command, StateWrite):
                results[id(command)] = command.run(connection, state)

        def committed() -> None:
            self._state = state

        return [results[id(command)] for command in batch], events, committed

    def _run_part(
        self,
        connection: sqlite3.Connection,
        state: WriterState,
        unit: cmd.Unit,
        part: Sequence[cmd.Command],
        results: dict[int, Any],
    ) -> list[Event]:
        needs = cmd.Needs()
        for command in part:
            command.needs(needs, unit)
        schedules.load(connection, needs, unit)
        if needs.alerts:
            unit.alerts = alerts.read(connection)
        for command in part:
            command.plan(needs, unit)
        loading.load(connection, state, needs, unit)
        unit.settle = lambda: cmd.settle_children(unit, lambda parents: loading.children(connection, state, unit, parents))
        cmd.apply_all(part, unit, results)
        return writing.flush(connection, state, unit, self._check)

    def _told(self, events: list[Event]) -> None:
        """In the event loop, after the commit."""
        if events:
            for callback in self._callbacks:
                callback(events)

    async def write(self, command: Any) -> Any:
        """What a command, a SqlWrite or a StateWrite comes to, once it is committed."""
        return await self.database.ask(command)

    # ---- what one at a time may do ----------------------------------------------------------------------------

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        now = self.now()
        until = now + to_micros(seconds)
        return bool(await self.database.ask(SqlWrite(lambda connection: records.hold(connection, name, holder, now, until))))

    async def let_go(self, name: str, holder: str) -> None:
        await self.database.ask(SqlWrite(lambda connection: records.let_go(connection, name, holder)))

    # ---- bulk -------------------------------------------------------------------------------------------------

    async def begin_bulk(self, operation: BulkOperation, job_ids: Sequence[str]) -> None:
        await self.database.ask(SqlWrite(lambda connection: bulk.begin(connection, operation, job_ids)))

    async def bulk(self, operation: str) -> BulkOperation:
        return await self.database.read(lambda connection: bulk.one(connection, operation))

    async def bulks(self, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
        return await self.database.read(lambda connection: bulk.newest(connection, limit, open_only=open_only))

    async def bulk_items(self, operation: str, at: int, limit: int) -> list[str]:
        return await self.database.read(lambda connection: bulk.items(connection, operation, at, limit))

    # ---- retention --------------------------------------------------------------------------------------------

    async def prune(self, keep: Retention) -> Pruned:
        now, walk = self.now(), self._walk
        ended = sum(jobs for (_, _, status), jobs in self._state.counts.items() if status in STATUSES)
        plan = await self.database.read(lambda connection: retention.plan(connection, keep, now, walk, ended))
        done = Pruned(more=plan.more, over=plan.over)
        if plan:
            done = await self.database.ask(StateWrite(lambda connection, state: retention.drop(connection, state, plan, now)))
        self._walk = plan.walk
        return done

    async def prune_settled(self, before: int, before_minute: int) -> None:
        def run(connection: sqlite3.Connection) -> None:
            retention.drop_settled(connection, before)
            retention.forget_minutes(connection, before_minute)

        await self.database.ask(SqlWrite(run, lazy=True))

    async def checkpoint(self) -> Checkpoint | None:
        return await self.database.read(retention.checkpoint)

    async def pruned_states(self) -> dict[tuple[str, str, str], int]:
        return await self.database.read(retention.pruned_states)

    # ---- audit ------------------------------------------------------------------------------------------------

    async def counted(self) -> tuple[int, dict[tuple[str, str, str], int]]:
        return await self.database.read(audit.counted)

    async def jobs_with_history(self, after: int, limit: int) -> list[audit.History]:
        return await self.database.read(lambda connection: audit.jobs_with_history(connection, after, limit))

    async def missing(self, job_ids: Sequence[str]) -> list[str]:
        return await self.database.read(lambda connection: audit.missing(connection, job_ids))

    async def waiting(self, job_ids: Sequence[str]) -> list[Waiting]:
        return await self.database.read(lambda connection: audit.waiting(connection, job_ids))

    async def schedules_with_history(self) -> list[tuple[str, Schedule | None, list[Event]]]:
        return await self.database.read(schedules.with_history)

    async def restore_schedules(self, rows: Mapping[str, Schedule | None]) -> None:
        await self.database.ask(SqlWrite(lambda connection: schedules.restore(connection, rows)))

    async def restore(self, histories: Sequence[tuple[str, Folded]]) -> None:
        await self.database.ask(StateWrite(lambda connection, state: audit.restore(connection, state, histories)))

    async def restore_waiting(self, open_parents: Mapping[str, Sequence[str]]) -> None:
        await self.database.ask(StateWrite(lambda connection, state: audit.restore_waiting(connection, state, open_parents)))

    async def effects(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return await self.database.read(lambda connection: reading.effects(connection, job_ids))

    # ---- queues -----------------------------------------------------------------------------------------------

    async def queues(self) -> list[QueueState]:
        return await self.database.read(reading.queues)

    # ---- schedules --------------------------------------------------------------------------------------------

    async def schedule(self, name: str) -> Schedule:
        return await self.database.read(lambda connection: schedules.read_one(connection, name))

    async def schedules(self, limit: int, cursor: str | None) -> Page[Schedule]:
        return await self.database.read(lambda connection: schedules.read_page(connection, limit, cursor))

    # ---- alerts -----------------------------------------------------------------------------------------------

    async def alerts(self) -> dict[str, Alert]:
        return await self.database.read(alerts.read)

    # ---- the feed ---------------------------------------------------------------------------------------------

    async def head(self) -> int:
        return await self.database.read(reading.head)

    async def feed(self, after: int, limit: int) -> list[Event]:
        return await self.database.read(lambda connection: reading.feed(connection, after, limit))

    async def dropped(self) -> int:
        return await self.database.read(reading.dropped)

    async def cursors(self) -> dict[str, int]:
        return await self.database.read(lambda connection: dict(connection.execute("SELECT name, position FROM cursors")))

    async def take_turn(self) -> bool:
        return True

    async def give_turn(self) -> None:
        return None

    async def advance(self, cursor: str, position: int) -> None:
        await self.database.ask(SqlWrite(lambda connection: records.advance(connection, cursor, position), lazy=True))

    async def set_back(self, cursor: str, position: int) -> None:
        await self.database.ask(SqlWrite(lambda connection: records.set_back(connection, cursor, position)))

    async def forget_cursor(self, cursor: str) -> None:
        await self.database.ask(SqlWrite(lambda connection: connection.execute("DELETE FROM cursors WHERE name = ?", (cursor,))))

    # ---- reading ----------------------------------------------------------------------------------------------

    async def job(self, job_id: str) -> Job:
        return await self.database.read(lambda connection: reading.job(connection, job_id))

    async def family(self, job_id: str, limit: int) -> Family:
        return await self.database.read(lambda connection: reading.family(connection, job_id, limit))

    async def statuses(self, job_ids: Sequence[str]) -> dict[str, str]:
        return await self.database.read(lambda connection: reading.statuses(connection, job_ids))

    async def jobs(self, where: Query, limit: int, cursor: str | None) -> JobPage:
        before, now = (ABOVE_ALL, self.now()) if cursor is None else decode_numbers(cursor)
        found = await self.search.find(where, now, before, limit + 1)
        following = encode_cursor(f"{found.jobs[limit - 1][0]}-{now}") if len(found.jobs) > limit else None
        return JobPage([job for _, job in found.jobs[:limit]], following, found.indexed_to, found.head)

    async def matching(self, where: Query) -> list[tuple[str, str]]:
        return await self.search.matching(where, self.now())

    async def open_search(self, shown: Callable[[str, Any], Any], version: str) -> None:
        await self.search.open(shown, f"{self._source} {version}")

    async def events_of(self, stream: str, after_sequence: int = 0, limit: int = 10_000) -> list[Event]:
        return await self.database.read(lambda connection: reading.events_of(connection, stream, after_sequence, limit))

    async def recent_events(self, limit: int, before: int | None, event_type: str | None) -> list[Event]:
        return await self.database.read(lambda connection: reading.recent_events(connection, limit, before, event_type))

    async def find_events(self, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Page[Event]:
        return await self.database.read(lambda connection: reading.find_events(connection, types, stream, limit, before))

    async def attempts(self, job_id: str) -> list[Attempt]:
        return await self.database.read(lambda connection: reading.attempts(connection, job_id))

    async def counts(self) -> dict[tuple[str, str, str], int]:
        return await self.database.read(lambda connection: reading.counts(connection, "counts"))

    # ---- dead letters and refusals ----------------------------------------------------------------------------

    async def keep_dead_letter(self, letter: DeadLetter) -> None:
        await self.database.ask(SqlWrite(lambda connection: records.keep_dead_letter(connection, letter)))

    async def dead_letters(self, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]:
        return await self.database.read(lambda connection: reading.dead_letters(connection, limit, cursor, status))

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        found = await self.database.read(lambda connection: reading.dead_letter(connection, letter_id))
        if found is None:
            raise NotFound(f"there is no dead letter {letter_id}")
        return found

    async def dead_letter_counts(self, since: int = 0) -> dict[str, int]:
        return await self.database.read(lambda connection: reading.dead_letter_counts(connection, since))

    async def dead_letter_of(self, trigger: str, source: str, event_id: str) -> DeadLetter | None:
        return await self.database.read(lambda connection: reading.dead_letter_of(connection, trigger, source, event_id))

    async def resolve_dead_letters(self, readers: Sequence[str], position: int, claimers: Sequence[str]) -> int:
        if not (await self.dead_letter_counts()).get("kept"):
            return 0
        write = SqlWrite(lambda connection: records.resolve_dead_letters(connection, readers, position, claimers))
        return int(await self.database.ask(write))

    async def remember_secrets(self, schemas: Mapping[str, Any]) -> dict[str, list[Any]]:
        kept = await self.database.read(records.secret_schemas)
        if all(schema in kept.get(job_type, ()) for job_type, schema in schemas.items()):
            return kept
        await self.database.ask(SqlWrite(lambda connection: records.keep_secret_schemas(connection, schemas)))
        return await self.database.read(records.secret_schemas)

    async def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        # the minute is that of the commit: a tick may have told the one before already
        write = SqlWrite(lambda connection: records.record_refusals(connection, refusals, self.now()), lazy=True)
        await self.database.ask(write)

    async def refusals(self, limit: int, subject_type: str | None = None) -> list[dict[str, Any]]:
        return await self.database.read(lambda connection: reading.refusals(connection, limit, subject_type))
