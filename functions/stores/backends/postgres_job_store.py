"""`JobStore` on PostgreSQL 15 or later: many processes write at once, each in transactions of many commands."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.alerts import Alert
from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.folding import Folded
from contracts.job import Attempt, Job
from contracts.query import Query
from contracts.schedule import Schedule
from contracts.times import to_micros
from functions.stores.backends import postgres_alerts as alerts
from functions.stores.backends import postgres_audit as audit
from functions.stores.backends import postgres_bulk as bulk
from functions.stores.backends import postgres_migrations as migrations
from functions.stores.backends import postgres_reading as reading
from functions.stores.backends import postgres_records as records
from functions.stores.backends import postgres_retention as retention
from functions.stores.backends import postgres_schedules as schedules
from functions.stores.backends.postgres_audience import Audience
from functions.stores.backends.postgres_clock import DatabaseClock
from functions.stores.backends.postgres_committing import Committing
from functions.stores.backends.postgres_connection import Rows
from functions.stores.backends.postgres_database import PostgresDatabase, answering
from functions.stores.backends.postgres_ear import Ear
from functions.stores.backends.postgres_placing import Placing
from functions.stores.backends.postgres_search import PostgresSearch
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.backends.postgres_turn import Turn
from functions.stores.backends.postgres_work import Check, Done, SqlWrite, Workshop
from functions.stores.backends.postgres_writer import ASIDE_LOCK_SECONDS, Writer
from functions.stores.bulk import BulkOperation
from functions.stores.clock import Clock, elapsed_ns
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
    Resolve,
    Tick,
    Waiting,
)
from functions.stores.pruning import Walk
from functions.stores.retention import Checkpoint, Pruned, Retention


class PostgresJobStore(Commanding):
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
        self._migrate = migrate
        self._workshop = Workshop(check, uniform)
        self._database_clock = DatabaseClock()
        self._clock = clock or self._database_clock
        self._is_open = self._is_alone = False
        self._walk = Walk()
        self.search = PostgresSearch(database)
        self._make_parts()

    def _make_parts(self) -> None:
        seconds = self.database.seconds
        self._audience = Audience(self.database)
        self.placing = Placing(self.database.link(statement=seconds.statement, lock=seconds.placing), self._audience, seconds.placing)
        self.turn = Turn(self.database.link(statement=seconds.statement, lock=seconds.lock))
        self.ear = Ear(self.database.link(statement=seconds.statement, lock=seconds.lock), self._audience, self.placing.nudge)
        self.link = self.database.link(statement=seconds.statement, lock=seconds.lock)
        aside = self.database.link(statement=seconds.statement, lock=ASIDE_LOCK_SECONDS)
        self.writer = Writer(
            Committing(self.link, self._database_clock, self._transact), Committing(aside, self._database_clock, self._transact),
            self.placing, seconds.lock,
        )  # fmt: skip

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
            await self._arrive()
            await self._set_clock()
            deployment, head, counts = await self.database.read(call("deployment"), call("head"), call("counts"))
            self._workshop.source = self._source_of(deployment)
        except BaseException:
            await self.ear.stop()
            await self.database.close()
            raise
        self._audience.begin(head[0][0])
        self.writer.start()
        self.placing.start()
        self._is_open = True
        self.ear.start()
        found: dict[str, int] = defaultdict(int)
        for (_, _, status), jobs in reading.by_state(counts).items():
            found[status] += jobs
        return Recovered(dict(found))

    async def identify(self) -> None:
        """Learns whose store it is without opening it to write; `close` it."""
        await migrations.check(self.database)
        await self.database.open()
        self._workshop.source = self._source_of(await self.database.rows("deployment"))

    def keep_alone(self) -> None:
        """Whoever opens it has taken the database for itself (postgres_alone)."""
        self._is_alone = True

    async def _arrive(self) -> None:
        with answering():
            present = await self.ear.arrive()
        if not (present or self._is_alone):
            raise StoreUnavailable(f"{self.database.place} is being mended or filled by somebody; it opens when that has ended")

    def _source_of(self, deployment: Rows) -> str:
        if not deployment:
            raise StoreUnavailable(f"{self.database.place} holds a part of a data folder: run the verb migrate-data again, which goes on where it was")
        return str(deployment[0][0])

    async def close(self) -> None:
        if not self._is_open:
            await self.database.close()
            return
        self._is_open = False
        await self.search.close()
        await self.writer.stop()
        await self.link.drop()
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
        return self._workshop.source

    def on_committed(self, callback: Committed, wanted: Callable[[], bool] | None = None) -> None:
        self._audience.add(callback, wanted)

    def on_own_committed(self, callback: Committed) -> None:
        self._audience.add_own(callback)

    def on_moved(self, callback: Callable[[], None]) -> None:
        self._audience.add_mover(callback)

    async def _transact(self, transaction: Transaction, commands: Sequence[Any]) -> Done:
        return await self._workshop.do(transaction, commands, self.now())

    async def write(self, command: Any) -> Any:
        """What a command, or a SqlWrite, comes to, once it is committed."""
        return await self.writer.ask(command)

    async def effects(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return await reading.effects(self.database, job_ids)

    async def tick(self, *, rescue_all: bool = False, limit: int = 500, resolve: Resolve | None = None) -> Tick:
        done = await super().tick(rescue_all=rescue_all, limit=limit, resolve=resolve)
        await self.placing.place_all()  # what those committed who died before they could place it
        return done

    # ---- queues -----------------------------------------------------------------------------------------------

    async def queues(self) -> list[QueueState]:
        return await reading.queues(self.database)

    # ---- schedules --------------------------------------------------------------------------------------------

    async def schedule(self, name: str) -> Schedule:
        return await schedules.read_one(self.database, name)

    async def schedules(self, limit: int, cursor: str | None) -> Page[Schedule]:
        return await schedules.read_page(self.database, limit, cursor)

    # ---- alerts -----------------------------------------------------------------------------------------------

    async def alerts(self) -> dict[str, Alert]:
        return alerts.by_id(await self.database.rows("alerts"))

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
        await self.write(SqlWrite(lambda transaction, now: transaction.add("advance", name=cursor, position=position), lazy=True))

    async def set_back(self, cursor: str, position: int) -> None:
        await self.write(SqlWrite(lambda transaction, now: retention.set_back(transaction, cursor, position)))

    async def forget_cursor(self, cursor: str) -> None:
        await self.write(SqlWrite(lambda transaction, now: transaction.add("forget_cursor", name=cursor)))

    # ---- what one at a time may do ----------------------------------------------------------------------------

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        write = SqlWrite(lambda transaction, now: records.hold(transaction, name, holder, now, now + to_micros(seconds)))
        return bool(await self.write(write))

    async def let_go(self, name: str, holder: str) -> None:
        await self.write(SqlWrite(lambda transaction, now: transaction.add("let_go", name=name, holder=holder)))

    # ---- bulk -------------------------------------------------------------------------------------------------

    async def begin_bulk(self, operation: BulkOperation, job_ids: Sequence[str]) -> None:
        await self.write(SqlWrite(lambda transaction, now: bulk.begin(transaction, operation, job_ids)))

    async def bulk(self, operation: str) -> BulkOperation:
        return await bulk.one(self.database, operation)

    async def bulks(self, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
        return await bulk.newest(self.database, limit, open_only=open_only)

    async def bulk_items(self, operation: str, at: int, limit: int) -> list[str]:
        return await bulk.items(self.database, operation, at, limit)

    # ---- retention --------------------------------------------------------------------------------------------

    async def prune(self, keep: Retention) -> Pruned:
        plan = await retention.plan(self.database, keep, self.now(), self._walk)
        done = Pruned(more=plan.more, over=plan.over)
        if plan:
            done = await self.write(SqlWrite(lambda transaction, now: retention.drop(transaction, plan, now)))
        self._walk = plan.walk
        return done

    async def prune_settled(self, before: int, before_minute: int) -> None:
        await self.write(SqlWrite(lambda transaction, now: retention.drop_settled(transaction, before, before_minute), lazy=True))

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

    async def matching(self, where: Query) -> list[tuple[str, str]]:
        return await self.search.matching(where, self.now())

    async def open_search(self, shown: Callable[[str, Any], Any], version: str) -> None:
        await self.search.open(shown, f"{self.source} {version}")

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
        await self.write(SqlWrite(lambda transaction, now: schedules.write(transaction, rows)))

    async def missing(self, job_ids: Sequence[str]) -> list[str]:
        return await audit.missing(self.database, job_ids)

    async def waiting(self, job_ids: Sequence[str]) -> list[Waiting]:
        return await audit.waiting(self.database, job_ids)

    async def restore(self, histories: Sequence[tuple[str, Folded]]) -> None:
        await self.write(SqlWrite(lambda transaction, now: audit.restore(transaction, histories)))

    async def restore_waiting(self, open_parents: Mapping[str, Sequence[str]]) -> None:
        await self.write(SqlWrite(lambda transaction, now: audit.restore_waiting(transaction, open_parents)))

    # ---- dead letters and refusals ----------------------------------------------------------------------------

    async def keep_dead_letter(self, letter: DeadLetter) -> None:
        await self.write(SqlWrite(lambda transaction, now: records.keep_dead_letter(transaction, letter)))

    async def dead_letters(self, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]:
        return await reading.dead_letters(self.database, limit, cursor, status)

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        return await reading.dead_letter(self.database, letter_id)

    async def dead_letter_counts(self, since: int = 0) -> dict[str, int]:
        return dict(await self.database.rows("dead_letter_counts", since=since))

    async def dead_letter_of(self, trigger: str, source: str, event_id: str) -> DeadLetter | None:
        return await reading.dead_letter_of(self.database, trigger, source, event_id)

    async def resolve_dead_letters(self, readers: Sequence[str], position: int, claimers: Sequence[str]) -> int:
        if not (await self.dead_letter_counts()).get("kept"):
            return 0
        write = SqlWrite(lambda transaction, now: records.resolve_dead_letters(transaction, readers, position, claimers))
        return int(await self.write(write))

    async def remember_secrets(self, schemas: Mapping[str, Any]) -> dict[str, list[Any]]:
        kept = await reading.secret_schemas(self.database)
        if all(schema in kept.get(job_type, ()) for job_type, schema in schemas.items()):
            return kept
        await self.write(SqlWrite(lambda transaction, now: records.keep_secret_schemas(transaction, schemas)))
        return await reading.secret_schemas(self.database)

    async def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        # the minute is that of the commit: a tick may have told the one before already
        await self.write(SqlWrite(lambda transaction, now: records.record_refusals(transaction, refusals, now), lazy=True))

    async def refusals(self, limit: int, subject_type: str | None = None) -> list[dict[str, Any]]:
        return await reading.refusals(self.database, limit, subject_type)
