"""Builds each function's service from the settings, once a process and lazily: the six functions, in whatever process they live.

A function alone in its process opens its stores itself; whoever hosts several hands one set of parts to all of them (`host`).
"""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import ConfigurationError
from contracts.times import MICROSECONDS
from functions.runtime import settings as settings_module
from functions.runtime.entrance import Door
from functions.runtime.guard import Guard
from functions.runtime.http import Limits
from functions.runtime.once import Maker, once
from functions.runtime.pace import RefusalPace
from functions.runtime.parts import Parts
from observability.logs import configure

if TYPE_CHECKING:
    from contracts.intake import Intake
    from eventing.queues import QueueDeclaration
    from functions.dead_letter.carrier import Carrier
    from functions.dead_letter.service import DeadLetterKeeper
    from functions.gateway.service import Gateway
    from functions.metrics_engine.service import MetricsEngine
    from functions.processor.service import Processor
    from functions.processor.workers import WorkerPool
    from functions.read_model.service import ReadModel
    from functions.runtime.bulk import Bulk
    from functions.runtime.life import Life
    from functions.runtime.pods import ClusterPods
    from functions.scheduler.service import Scheduler
    from functions.scheduler.sweeping import Sweeper
    from functions.stores.instances import Instance
    from functions.stores.job_store import JobStore

STARTED = time.monotonic()
COMMITTING = ("gateway", "processor", "scheduler", "dead-letter")  # functions whose commits are for others to hear of


class Services(Maker):
    """The services of one process, and what they have in common. Each is made on its first use."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.settings, self.hosted = parts.settings, parts.hosted
        self._listener: Processor  # of the worker pool, once there is one

    @once
    async def gateway(self) -> "Gateway":
        from functions.gateway.service import Bounds, Gateway

        parts, settings = self.parts, self.settings
        bounds = Bounds(settings.payload_bytes, settings.batch_items, settings.timeout_seconds_max, settings.wait_seconds)
        gateway = Gateway(await parts.job_store(), await parts.catalogue(), parts.queues(), bounds, await parts.redactor(), await self.bulk())
        gateway.hosted = self.hosted
        return gateway

    @once
    async def processor(self) -> "Processor":
        from functions.processor.service import Processor

        pool, settings = await self.pool(), self.settings
        processor = Processor(
            await self.parts.job_store(), pool, queues=self._own_queues(), instance=settings.instance,
            lease_seconds=settings.lease_seconds, renew_seconds=settings.renew_seconds,
            drain_seconds=settings.drain_seconds, patience_seconds=0.0 if self.hosted else settings.request_seconds, hosted=self.hosted,
            cold_start=lambda: time.monotonic() - STARTED,
        )  # fmt: skip
        self._listener = processor
        await processor.start()
        return processor

    def _own_queues(self) -> "dict[str, QueueDeclaration]":
        """The queues that this processor works on. Raises ConfigurationError naming those that there are."""
        declared, wanted = self.parts.queues(), self.settings.queue_names
        if unknown := [name for name in wanted if name not in declared]:
            raise ConfigurationError(f"OBSERVATORY_QUEUES names {', '.join(unknown)}; known are {', '.join(declared)}")
        return {name: declared[name] for name in wanted or declared}

    @once
    async def pool(self) -> "WorkerPool":
        """The worker processes; what they tell goes to the processor, which is made after them."""
        from functions.processor.workers import WorkerPool
        from functions.stores.clock import wall_clock

        pool = WorkerPool(
            self.settings.worker_count,
            self.settings.task_modules,
            clock=wall_clock,
            on_outcomes=lambda outcomes: self._listener.on_outcomes(outcomes),
            on_progress=lambda job_id, token, progress: self._listener.on_progress(job_id, token, progress),
            store_effect=lambda job_id, token, step, value: self._listener.store_effect(job_id, token, step, value),
            environment=settings_module.environment(self.settings),
        )
        self.parts.keep_catalogue(await pool.start())
        return pool

    @once
    async def metrics_engine(self) -> "MetricsEngine":
        from functions.metrics_engine.service import MetricsEngine
        from functions.runtime.redaction import nothing_hidden

        parts = self.parts
        event_log = await parts.event_log()
        redact = (await parts.redactor()).events if event_log.elsewhere else nothing_hidden
        engine = MetricsEngine(await parts.job_store(), await parts.stats_store(), event_log, redact)
        engine.hosted = self.hosted
        await engine.attach()
        engine.wake()  # for what was committed while nobody listened
        return engine

    @once
    async def read_model(self) -> "ReadModel":
        await self.parts.open_search()
        return await self._read_model()

    async def _read_model(self) -> "ReadModel":
        """One that need not search."""
        from functions.read_model.auditing import Auditor
        from functions.read_model.service import ReadModel, unheard

        parts, settings = self.parts, self.settings
        environment = settings_module.environment_of_stores(settings)
        return ReadModel(
            await parts.job_store(), await parts.stats_store(), await parts.event_log(), await parts.catalogue(),
            name=settings.name, redactor=await parts.redactor(),
            streams_max=settings.streams_max, instances=self._instances, hosted=self.hosted, auditor=Auditor(environment), pods=self._pods(),
            rules=settings.alert_rules, kind=settings.job_store_kind,
            running_output=(await self.pool()).output if self.hosted else unheard, broker=await parts.broker_condition(),
        )  # fmt: skip

    async def _instances(self) -> "list[Instance]":
        """The functions of this process, when all live here; else the records that instances left."""
        from functions.stores.clock import wall_clock
        from functions.stores.instances import Instance

        if not self.parts.whole:
            return await (await self.parts.stats_store()).instances()
        started = wall_clock() - int((time.monotonic() - STARTED) * MICROSECONDS)
        names = ("gateway", "processor", "metrics-engine", "read-model", "scheduler", "dead-letter")
        return [Instance(name, self.settings.instance, started) for name in names]

    @staticmethod
    def _pods() -> "ClusterPods | None":
        """What counts pods, where this process is one that may ask."""
        from functions.runtime.pods import ClusterPods

        return ClusterPods() if ClusterPods.is_here() else None

    @once
    async def scheduler(self) -> "Scheduler":
        from functions.runtime.alerting import EVERY_SECONDS, Watch
        from functions.scheduler.service import Scheduler

        parts, settings = self.parts, self.settings
        store, bell = await parts.job_store(), await parts.bell()
        watch = Watch(store, await parts.stats_store(), settings.alert_rules, min(EVERY_SECONDS, settings.tick_seconds))
        readers, claimers = parts.triggers_of("metrics-engine"), parts.triggers_of("processor")
        scheduler = Scheduler(store, bell, readers, await self.sweeper(), await self._intake(), await self.bulk(), watch, claimers)
        scheduler.hosted = self.hosted
        await scheduler.declare()
        return scheduler

    async def _intake(self) -> "Intake":
        """What reads job requests."""
        from contracts.intake import Intake

        return Intake(await self.parts.catalogue(), self.parts.queues(), self.settings.payload_bytes, self.settings.timeout_seconds_max)

    async def sweeper(self) -> "Sweeper":
        from functions.scheduler.sweeping import Sweeper

        return Sweeper(await self.parts.job_store(), await self.parts.stats_store(), await self.parts.event_log(), self.settings.keeping)

    @once
    async def bulk(self) -> "Bulk":
        from functions.runtime.bulk import Bulk

        return Bulk(await self.parts.job_store(), self.dead_letter)

    @once
    async def dead_letter(self) -> "DeadLetterKeeper":
        from functions.dead_letter.service import DeadLetterKeeper

        parts = self.parts
        carrier = self._start_carrier() if self.settings.spool and not self.hosted else None
        keeper = DeadLetterKeeper(await parts.job_store() if carrier is None else None, carrier=carrier)
        keeper.hosted = self.hosted
        if (publisher := await parts.publisher()) is not None and (deliver := getattr(publisher, "deliver_alone", None)) is not None:
            keeper.deliver = deliver
        if self.hosted and not parts.whole:
            keeper.deliver = parts.deliver_alone()
        if not self.hosted:
            keeper.figures = partial(self._figures, carrier)
        return keeper

    def _start_carrier(self) -> "Carrier":
        from functions.dead_letter.carrier import Carrier
        from functions.dead_letter.spool import Spool
        from functions.stores.clock import wall_clock

        spool = Spool(Path(self.settings.spool))
        spool.open()
        carrier = Carrier(spool, self._store_with_relay, wall_clock)
        carrier.start()
        return carrier

    async def _store_with_relay(self) -> "JobStore":
        """For a function that serves before its store answers."""
        store = await self.parts.job_store()
        await self.parts.relay()
        return store

    async def _figures(self, carrier: "Carrier | None") -> bytes:
        """The system's; while the store is away, those of the spool alone."""
        from observability.metrics import spool_metrics

        spooled = b"" if carrier is None else spool_metrics(carrier.spool.waiting, carrier.spool.damaged)
        if carrier is not None and carrier.is_away:
            return spooled
        return spooled + await (await self._figures_model()).metrics()

    @once
    async def _figures_model(self) -> "ReadModel":
        return await self._read_model()


_services: Services | None = None


def services() -> Services:
    """This process's, from its environment unless `host` set them."""
    global _services
    if _services is None:
        settings = settings_module.load()
        configure(settings.log_format)
        _services = Services(Parts(settings))
    return _services


def host(shared: Services) -> None:
    """Makes all functions of this process use these."""
    global _services
    _services = shared


def door() -> Door:
    """What requests are held to, from the settings."""
    s = services().settings
    limits = Limits(s.body_bytes, s.batch_bytes, s.header_bytes, s.header_count, s.body_seconds)
    return Door(limits, Guard(s.rules), RefusalPace(s.refusals_a_second))


async def life(function: str) -> "Life | None":
    """The life of this instance of a function; None where one process hosts all of them. Its relay is for functions alone: where
    processes live on, one of them publishes for all."""
    from functions.runtime.life import Life
    from functions.stores.clock import wall_clock

    parts = services().parts
    if parts.whole:
        return None
    spools = function == "dead-letter" and parts.settings.spool  # and has its relay once its store answers
    relay = await parts.relay() if function in COMMITTING and not spools else None
    return Life(parts.stats_store, function, parts.settings.instance, wall_clock, time.monotonic() - STARTED, relay)


async def gateway() -> "Gateway":
    return await services().gateway()


async def processor() -> "Processor":
    return await services().processor()


async def metrics_engine() -> "MetricsEngine":
    return await services().metrics_engine()


async def read_model() -> "ReadModel":
    return await services().read_model()


async def scheduler() -> "Scheduler":
    return await services().scheduler()


async def dead_letter() -> "DeadLetterKeeper":
    return await services().dead_letter()
