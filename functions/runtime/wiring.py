"""The only file that knows adapters: builds each function's service from the settings, once a process and lazily.

A function alone in its process opens the embedded store itself; hosted by `local.py`, all six share one set of parts.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from contracts.errors import ConfigurationError, DataFolderInUse
from contracts.times import MICROSECONDS
from functions.runtime import settings as settings_module
from functions.runtime.data_folder import DataFolder
from functions.runtime.entrance import Door
from functions.runtime.guard import Guard
from functions.runtime.http import Limits
from functions.runtime.pace import RefusalPace
from functions.runtime.settings import Settings
from observability.logs import configure

if TYPE_CHECKING:
    from contracts.catalogue import Catalogue
    from contracts.intake import Intake
    from eventing.broker import Broker, Subscriber
    from eventing.brokers.rabbitmq.consuming import Refuse
    from eventing.brokers.rabbitmq.watch import RabbitWatch
    from eventing.publisher import Publisher
    from eventing.queues import QueueDeclaration
    from eventing.triggers import Trigger
    from functions.dead_letter.service import DeadLetterKeeper, Deliver
    from functions.gateway.service import Gateway
    from functions.metrics_engine.service import MetricsEngine
    from functions.processor.service import Processor
    from functions.processor.workers import WorkerPool
    from functions.read_model.service import ReadModel
    from functions.runtime.bulk import Bulk
    from functions.runtime.life import Life
    from functions.runtime.pods import ClusterPods
    from functions.runtime.redaction import Redactor
    from functions.runtime.shared_relay import SharedRelay
    from functions.scheduler.service import Bell, Scheduler
    from functions.scheduler.sweeping import Sweeper
    from functions.stores.condition import Condition
    from functions.stores.event_log import EventLog
    from functions.stores.instances import Instance
    from functions.stores.job_store import JobStore, Recovered
    from functions.stores.stats_store import StatsStore

STARTED = time.monotonic()
COMMITTING = ("gateway", "processor", "scheduler", "dead-letter")  # functions whose commits are for others to hear of


class Parts:
    """The adapters of one process. Each is made on its first use. `hosted` says that whoever made these parts starts and drains the
    functions, `whole` that all six live here (`hosted` and not `whole`: one process of several)."""

    def __init__(self, settings: Settings, *, hosted: bool = False, whole: bool | None = None) -> None:
        self.settings = settings
        self.hosted = hosted
        self.whole = hosted if whole is None else whole
        self.folder = DataFolder(settings.data_folder)
        self.recovered: Recovered | None = None
        self._made: dict[str, Any] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def _once(self, name: str, make: Callable[[], Any]) -> Any:
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            if name not in self._made:
                self._made[name] = await make()
        return self._made[name]

    # ---- stores -----------------------------------------------------------------------------------------------

    async def job_store(self) -> "JobStore":
        store: JobStore = await self._once("job_store", self._open_job_store)
        return store

    async def _open_job_store(self) -> "JobStore":
        from functions.stores import faults

        if self.settings.test_kill:
            faults.arm(self.settings.test_kill)
        store = await (self._open_postgres() if self.settings.postgres_url else self._open_sqlite())
        if not (self.whole or self.settings.quiet):  # each process tells of the attempts whose end it committed
            from observability import job_lines

            store.on_own_committed(job_lines.logged)
        return store

    async def _open_postgres(self) -> "JobStore":
        from contracts import validation
        from functions.stores.backends.postgres_job_store import PostgresJobStore

        store = PostgresJobStore.at(
            self.settings.postgres_url, check=validation.validate_event, migrate=self.settings.migrate, application=self.settings.instance
        )
        self.recovered = await store.open()
        await store.declare_queues(self._declarations())
        return store

    async def _open_sqlite(self) -> "JobStore":
        from contracts import validation
        from functions.stores.backends.sqlite_job_store import SqliteJobStore

        self.folder.check_not_carried_over()
        if not self.hosted:
            self.folder.acquire()
        store = SqliteJobStore.at(self.folder.database, check=validation.validate_event)
        self.recovered = await store.open()
        await store.declare_queues(self._declarations())
        return store

    def _declarations(self) -> list[tuple[str, int | None, float | None, bool]]:
        return [(q.name, q.max_running, q.rate_per_second, q.paused) for q in self.queues().values()]

    async def open_search(self) -> None:
        """Lets jobs be found by what may be seen of them."""
        redactor = await self.redactor()
        await (await self.job_store()).open_search(redactor.payload, redactor.version)

    async def redactor(self) -> "Redactor":
        """What hides secrets on every way out of the store."""
        redactor: Redactor = await self._once("redactor", self._make_redactor)
        return redactor

    async def _make_redactor(self) -> "Redactor":
        from functions.runtime.redaction import Redactor, secret_schemas

        catalogue = await self.catalogue()
        return Redactor(catalogue, await (await self.job_store()).remember_secrets(secret_schemas(catalogue)))

    async def stats_store(self) -> "StatsStore":
        stats: StatsStore = await self._once("stats_store", self._open_stats_store)
        return stats

    async def _open_stats_store(self) -> "StatsStore":
        return stats_store_of(self.settings, await self.job_store())

    async def event_log(self) -> "EventLog":
        event_log: EventLog = await self._once("event_log", self._open_event_log)
        return event_log

    async def _open_event_log(self) -> "EventLog":
        store = await self.job_store()
        if self.settings.mongo_url:
            from functions.stores.backends.mongo_event_log import MongoEventLog

            return MongoEventLog(self.settings.mongo_url, store.source)
        from functions.stores.backends.feed_event_log import FeedEventLog

        return FeedEventLog(store)

    async def _broker_condition(self) -> "Callable[[], Awaitable[Condition]] | None":
        """What tells of RabbitMQ, where events go through it."""
        settings = self.settings
        if not settings.rabbitmq_url or self.whole or (settings.broker_url and not self.hosted):
            return None
        from functions.runtime.broker_condition import BrokerCondition

        return BrokerCondition(await self.job_store(), await self._once("broker_watch", self._make_broker_watch))

    async def _make_broker_watch(self) -> "RabbitWatch":
        from eventing.brokers.rabbitmq.watch import RabbitWatch

        return RabbitWatch(self.settings.rabbitmq_url, name=self.settings.instance)

    # ---- data -------------------------------------------------------------------------------------------------

    def queues(self) -> "dict[str, QueueDeclaration]":
        from eventing.queues import load_queues

        if "queues" not in self._made:
            self._made["queues"] = load_queues()
        queues: dict[str, QueueDeclaration] = self._made["queues"]
        return queues

    def keep_catalogue(self, catalogue: "Catalogue") -> None:
        self._made["catalogue"] = catalogue

    async def catalogue(self) -> "Catalogue":
        catalogue: Catalogue = await self._once("catalogue", self._find_catalogue)
        return catalogue

    async def _find_catalogue(self) -> "Catalogue":
        from contracts.catalogue import Catalogue

        if self.settings.catalogue:
            return Catalogue.load(self.settings.catalogue)
        command = [sys.executable, "-m", "functions.processor.tasks.collect", *self.settings.task_modules]
        environment = settings_module.environment(self.settings)
        pipe = asyncio.subprocess.PIPE
        collector = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment, cwd=settings_module.ROOT)
        output, errors = await collector.communicate()
        if collector.returncode:
            raise ConfigurationError(f"the tasks cannot be collected: {errors.decode(errors='replace').strip()[-2000:]}")
        return Catalogue.from_json(json.loads(output))

    # ---- delivery between processes ---------------------------------------------------------------------------

    async def publisher(self) -> "Publisher | None":
        """Where committed events go for other processes to hear of; None where this process delivers them itself, or nobody does."""
        if self.hosted or not (self.settings.broker_url or self.settings.rabbitmq_url):
            return None
        publisher: Publisher = await self._once("publisher", self._make_publisher)
        return publisher

    async def _make_publisher(self) -> "Publisher":
        from eventing.brokers.knative import KnativePublisher

        if not self.settings.broker_url:
            return await self.broker({})
        return KnativePublisher(self.settings.broker_url, self.triggers())

    async def broker(self, subscribers: "Mapping[str, Subscriber]", refuse: "Refuse | None" = None, *, webhooks: bool = False) -> "Broker":
        """RabbitMQ, begun: it delivers to these functions of this process. `refuse` keeps messages that are no events; with `webhooks`
        it delivers to the Triggers' URLs, too."""
        from eventing.brokers.rabbitmq import RabbitBroker

        settings = self.settings
        broker = RabbitBroker(
            settings.rabbitmq_url, self.triggers(), subscribers, name=settings.instance, refuse=refuse, webhooks=webhooks,
            addresses=settings.subscriber_urls,
        )  # fmt: skip
        await broker.start()
        return broker

    def deliver_alone(self) -> "Deliver":
        """Sends an event to one Trigger's subscriber, which lives in another process."""
        from functools import partial

        from eventing.brokers.sending import Senders

        return partial(Senders({}, addresses=self.settings.subscriber_urls).deliver_alone, self.triggers())

    def triggers(self) -> "list[Trigger]":
        from eventing.triggers import load_triggers

        return load_triggers(self.settings.trigger_files)

    async def relay(self) -> "SharedRelay | None":
        """Publishes what is committed; None where there is no publisher."""
        publisher = await self.publisher()
        if publisher is None:
            return None
        relay: SharedRelay = await self._once("relay", lambda: self._start_relay(publisher))
        return relay

    async def _start_relay(self, publisher: "Publisher") -> "SharedRelay":
        from functions.runtime.shared_relay import SharedRelay

        relay = SharedRelay(await self.job_store(), publisher, (await self.redactor()).event)
        await relay.start()
        return relay

    async def bell(self) -> "Bell":
        """How the scheduler rings the others."""
        if "bell" in self._made:
            bell: Bell = self._made["bell"]
            return bell
        publisher, relay = await self.publisher(), await self.relay()
        if publisher is None or relay is None:
            return SilentBell()
        return await self.bell_of(publisher, relay.nudge)

    async def bell_of(self, publisher: "Publisher", nudge_relay: Callable[[], None]) -> "Bell":
        """A bell that rings by that publisher."""
        from functions.runtime.bells import PublishedBell

        return PublishedBell(await self.job_store(), publisher, (await self.redactor()).event, nudge_relay)

    # ---- services ---------------------------------------------------------------------------------------------

    async def gateway(self) -> "Gateway":
        gateway: Gateway = await self._once("gateway", self._make_gateway)
        return gateway

    async def _make_gateway(self) -> "Gateway":
        from functions.gateway.service import Bounds, Gateway

        settings = self.settings
        bounds = Bounds(settings.payload_bytes, settings.batch_items, settings.timeout_seconds_max, settings.wait_seconds)
        gateway = Gateway(await self.job_store(), await self.catalogue(), self.queues(), bounds, await self.redactor(), await self.bulk())
        gateway.hosted = self.hosted
        return gateway

    async def processor(self) -> "Processor":
        processor: Processor = await self._once("processor", self._start_processor)
        return processor

    async def _start_processor(self) -> "Processor":
        from functions.processor.service import Processor

        pool = await self.pool()
        processor = Processor(
            await self.job_store(), pool, queues=self._own_queues(), instance=self.settings.instance,
            lease_seconds=self.settings.lease_seconds, renew_seconds=self.settings.renew_seconds,
            drain_seconds=self.settings.drain_seconds, patience_seconds=0.0 if self.hosted else self.settings.request_seconds, hosted=self.hosted,
            cold_start=lambda: time.monotonic() - STARTED,
        )  # fmt: skip
        self._made["pool_listener"] = processor
        await processor.start()
        return processor

    def _own_queues(self) -> "dict[str, QueueDeclaration]":
        """The queues that this processor works on. Raises ConfigurationError naming those that there are."""
        declared, wanted = self.queues(), self.settings.queue_names
        if unknown := [name for name in wanted if name not in declared]:
            raise ConfigurationError(f"OBSERVATORY_QUEUES names {', '.join(unknown)}; known are {', '.join(declared)}")
        return {name: declared[name] for name in wanted or declared}

    async def pool(self) -> "WorkerPool":
        pool: WorkerPool = await self._once("pool", self._start_pool)
        return pool

    async def _start_pool(self) -> "WorkerPool":
        """The worker processes; what they tell goes to the processor, which is made after them."""
        from functions.processor.workers import WorkerPool
        from functions.stores.clock import wall_clock

        pool = WorkerPool(
            self.settings.worker_count,
            self.settings.task_modules,
            clock=wall_clock,
            on_outcomes=lambda outcomes: self._made["pool_listener"].on_outcomes(outcomes),
            on_progress=lambda job_id, token, progress: self._made["pool_listener"].on_progress(job_id, token, progress),
            store_effect=lambda job_id, token, step, value: self._made["pool_listener"].store_effect(job_id, token, step, value),
            environment=settings_module.environment(self.settings),
        )
        self.keep_catalogue(await pool.start())
        return pool

    async def metrics_engine(self) -> "MetricsEngine":
        engine: MetricsEngine = await self._once("metrics_engine", self._make_metrics_engine)
        return engine

    async def _make_metrics_engine(self) -> "MetricsEngine":
        from functions.metrics_engine.service import MetricsEngine

        event_log = await self.event_log()
        redact = (await self.redactor()).event if event_log.elsewhere else None
        engine = MetricsEngine(await self.job_store(), await self.stats_store(), event_log, redact)
        engine.hosted = self.hosted
        await engine.attach()
        engine.wake()  # for what was committed while nobody listened
        return engine

    async def read_model(self) -> "ReadModel":
        model: ReadModel = await self._once("read_model", self._make_read_model)
        return model

    async def _make_read_model(self) -> "ReadModel":
        await self.open_search()
        return await self._read_model()

    async def _read_model(self) -> "ReadModel":
        """One that need not search."""
        from functions.read_model.auditing import Auditor
        from functions.read_model.service import ReadModel, unheard

        environment = settings_module.environment_of_stores(self.settings)
        return ReadModel(
            await self.job_store(), await self.stats_store(), await self.event_log(), await self.catalogue(),
            name=self.settings.name, redactor=await self.redactor(),
            streams_max=self.settings.streams_max, instances=self._instances, hosted=self.hosted, auditor=Auditor(environment), pods=self._pods(),
            rules=self.settings.alert_rules, kind=self.settings.job_store_kind,
            running_output=(await self.pool()).output if self.hosted else unheard, broker=await self._broker_condition(),
        )  # fmt: skip

    async def _instances(self) -> "list[Instance]":
        """The functions of this process, when all live here; else the records that instances left."""
        from functions.stores.clock import wall_clock
        from functions.stores.instances import Instance

        if not self.whole:
            return await (await self.stats_store()).instances()
        started = wall_clock() - int((time.monotonic() - STARTED) * MICROSECONDS)
        names = ("gateway", "processor", "metrics-engine", "read-model", "scheduler", "dead-letter")
        return [Instance(name, self.settings.instance, started) for name in names]

    @staticmethod
    def _pods() -> "ClusterPods | None":
        """What counts pods, where this process is one that may ask."""
        from functions.runtime.pods import ClusterPods

        return ClusterPods() if ClusterPods.is_here() else None

    async def scheduler(self) -> "Scheduler":
        scheduler: Scheduler = await self._once("scheduler", self._make_scheduler)
        return scheduler

    async def _make_scheduler(self) -> "Scheduler":
        from functions.runtime.alerting import EVERY_SECONDS, Watch
        from functions.scheduler.service import Scheduler

        store, bell = await self.job_store(), await self.bell()
        watch = Watch(store, await self.stats_store(), self.settings.alert_rules, min(EVERY_SECONDS, self.settings.tick_seconds))
        scheduler = Scheduler(store, bell, self._readers_of_the_feed(), await self.sweeper(), await self.intake(), await self.bulk(), watch)
        scheduler.hosted = self.hosted
        await scheduler.declare()
        return scheduler

    async def bulk(self) -> "Bulk":
        bulk: Bulk = await self._once("bulk", self._make_bulk)
        return bulk

    async def _make_bulk(self) -> "Bulk":
        from functions.runtime.bulk import Bulk

        return Bulk(await self.job_store(), self.dead_letter)

    async def intake(self) -> "Intake":
        """What reads job requests."""
        from contracts.intake import Intake

        return Intake(await self.catalogue(), self.queues(), self.settings.payload_bytes, self.settings.timeout_seconds_max)

    async def sweeper(self) -> "Sweeper":
        from functions.scheduler.sweeping import Sweeper

        return Sweeper(await self.job_store(), await self.stats_store(), await self.event_log(), self.settings.keeping)

    def _readers_of_the_feed(self) -> list[str]:
        """The Triggers of the metrics engine, which follows the feed by its cursor."""
        return [trigger.name for trigger in self.triggers() if trigger.subscriber.service == "metrics-engine"]

    def keep_bell(self, bell: Any) -> None:
        self._made["bell"] = bell

    async def dead_letter(self) -> "DeadLetterKeeper":
        keeper: DeadLetterKeeper = await self._once("dead_letter", self._make_dead_letter)
        return keeper

    async def _make_dead_letter(self) -> "DeadLetterKeeper":
        from functions.dead_letter.service import DeadLetterKeeper

        keeper = DeadLetterKeeper(await self.job_store())
        keeper.hosted = self.hosted
        if (publisher := await self.publisher()) is not None and (deliver := getattr(publisher, "deliver_alone", None)) is not None:
            keeper.deliver = deliver
        if self.hosted and not self.whole:
            keeper.deliver = self.deliver_alone()
        if not self.hosted:
            keeper.figures = self._figures
        return keeper

    async def _figures(self) -> bytes:
        model: ReadModel = await self._once("figures", self._read_model)
        return await model.metrics()

    async def close(self) -> None:
        for store in ("broker_watch", "event_log", "stats_store", "job_store"):
            if store in self._made:
                await self._made[store].close()
        self.folder.release()


class SilentBell:
    """For a scheduler alone with the embedded store: nobody else is there to hear. What it commits stays past the
    publish cursor, and the next full start rings it."""

    def ring_relay(self) -> None:
        return None

    async def ring_queue(self, queue: str, depth: int) -> None:
        return None

    async def ring_readers(self) -> None:
        return None


def _folder_with_data(settings: Settings) -> DataFolder:
    """Raises ConfigurationError when there is none."""
    folder = DataFolder(settings.data_folder)
    if not folder.database.exists():
        raise ConfigurationError(f"there is no data in {settings.data_folder.resolve()}; name the folder with OBSERVATORY_DATA")
    return folder


async def stores_at_rest(settings: Settings) -> "tuple[JobStore, StatsStore]":
    """The stores of the settings, not opened: they can be read beside a running system. Raises ConfigurationError when there are
    none, StoreUnavailable."""
    from contracts import validation

    store: Any
    if settings.postgres_url:
        from functions.stores.backends.postgres_job_store import PostgresJobStore

        store = PostgresJobStore.at(settings.postgres_url, check=validation.validate_event, migrate=settings.migrate, application="observatory audit")
    else:
        from functions.stores.backends.sqlite_job_store import SqliteJobStore

        store = SqliteJobStore.at(_folder_with_data(settings).database, check=validation.validate_event)
    await store.identify()
    return store, stats_store_of(settings, store)


@contextlib.asynccontextmanager
async def alone(settings: Settings, store: Any) -> AsyncIterator[None]:
    """Keeps every system off the stores of the settings while they are mended, and opens them. Raises DataFolderInUse while one runs."""
    if settings.postgres_url:
        from functions.stores.backends.postgres_alone import Alone

        lock = Alone(store.database)
        try:
            await lock.take()
            store.keep_alone()
            await store.open()
            yield
        finally:
            await lock.give()
        return
    folder = _folder_with_data(settings)
    try:
        folder.acquire()
    except DataFolderInUse:
        raise DataFolderInUse("the system is running on this data folder; stop it first (make stop), then try again") from None
    try:
        await store.open()
        yield
    finally:
        folder.release()


async def carry_over(settings: Settings, progress: Callable[[str, int, int], None], *, dry_run: bool) -> dict[str, Any]:
    """Carries the data folder over into the PostgreSQL of the settings; what was carried, or would be. Raises ConfigurationError (also
    DataFolderInUse) for what is to be mended first, StoreUnavailable; then another run goes on where this one was."""
    if not settings.postgres_url:
        raise ConfigurationError("there is no PostgreSQL to carry the data over to: name an empty database with OBSERVATORY_POSTGRES_URL")
    from functions.stores import faults
    from functions.stores.backends.postgres_database import PostgresDatabase
    from functions.stores.backends.sqlite_to_postgres import Carrier

    if settings.test_kill:
        faults.arm(settings.test_kill)
    folder = _folder_with_data(settings)
    try:
        folder.acquire()
    except DataFolderInUse:
        raise DataFolderInUse("the system is running on this data folder; stop it first (make stop), then carry it over") from None
    try:
        database = PostgresDatabase(settings.postgres_url, application="observatory migrate-data")
        carrier = Carrier(folder.database, database, progress, migrate=settings.migrate)
        report = await (carrier.rehearse() if dry_run else carrier.carry())
        if not dry_run:
            folder.mark_carried_over(f"PostgreSQL at {report.place}")
        return report.as_json()
    finally:
        folder.release()


def stats_store_of(settings: Settings, store: Any) -> "StatsStore":
    """On Redis, where the settings name one, else beside the jobs."""
    if settings.redis_url:
        from functions.stores.backends.redis_stats_store import KEPT_SECONDS, RedisStatsStore

        kept = round(settings.keep_statistics_days * 86_400) or 10 * KEPT_SECONDS
        return RedisStatsStore(settings.redis_url, store.source, kept)
    if settings.postgres_url:
        from functions.stores.backends.postgres_stats_store import PostgresStatsStore

        return PostgresStatsStore(store)
    from functions.stores.backends.sqlite_stats_store import SqliteStatsStore

    return SqliteStatsStore(store.database)


async def migrate_postgres(settings: Settings) -> tuple[str, list[str]]:
    """Brings the layout of the PostgreSQL of the settings up to date: where it is, and what was applied. Raises ConfigurationError,
    StoreUnavailable."""
    if not settings.postgres_url:
        raise ConfigurationError("there is no PostgreSQL to migrate: name it with OBSERVATORY_POSTGRES_URL (SQLite is migrated at every start)")
    from functions.stores.backends.postgres_database import PostgresDatabase
    from functions.stores.backends.postgres_migrations import migrate

    database = PostgresDatabase(settings.postgres_url, application="observatory migrate")
    return database.place, await migrate(database)


def check_urls(settings: Settings) -> None:
    """Raises ConfigurationError for a server's URL that cannot be one. Connects to nothing."""
    from contracts import validation
    from eventing.brokers.rabbitmq import RabbitBroker
    from functions.stores.backends.postgres_job_store import PostgresJobStore
    from functions.stores.backends.redis_stats_store import RedisStatsStore

    PostgresJobStore.at(settings.postgres_url, check=validation.validate_event)
    RedisStatsStore(settings.redis_url, "urn:observatory:none")
    RabbitBroker(settings.rabbitmq_url, Parts(settings).triggers(), {})


_parts: Parts | None = None


def parts() -> Parts:
    """This process's parts, from its environment unless `host` set them."""
    global _parts
    if _parts is None:
        settings = settings_module.load()
        configure(settings.log_format)
        _parts = Parts(settings)
    return _parts


def host(shared: Parts) -> None:
    """Makes all functions of this process use these parts."""
    global _parts
    _parts = shared


def door() -> Door:
    """What requests are held to, from the settings."""
    s = parts().settings
    limits = Limits(s.body_bytes, s.batch_bytes, s.header_bytes, s.header_count, s.body_seconds)
    return Door(limits, Guard(s.rules), RefusalPace(s.refusals_a_second))


async def life(function: str) -> "Life | None":
    """The life of this instance of a function; None where one process hosts all of them. Its relay is for functions alone: where
    processes live on, one of them publishes for all."""
    from functions.runtime.life import Life
    from functions.stores.clock import wall_clock

    shared = parts()
    if shared.whole:
        return None
    relay = await shared.relay() if function in COMMITTING else None
    return Life(shared.stats_store, function, shared.settings.instance, wall_clock, time.monotonic() - STARTED, relay)


async def gateway() -> "Gateway":
    return await parts().gateway()


async def processor() -> "Processor":
    return await parts().processor()


async def metrics_engine() -> "MetricsEngine":
    return await parts().metrics_engine()


async def read_model() -> "ReadModel":
    return await parts().read_model()


async def scheduler() -> "Scheduler":
    return await parts().scheduler()


async def dead_letter() -> "DeadLetterKeeper":
    return await parts().dead_letter()
