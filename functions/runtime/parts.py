"""What the functions of one process share: the stores, what is declared, and the ways that events take to other processes."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from contracts.errors import ConfigurationError
from functions.runtime import adapters
from functions.runtime import settings as settings_module
from functions.runtime.data_folder import DataFolder
from functions.runtime.once import Maker, once
from functions.runtime.settings import Settings

if TYPE_CHECKING:
    from contracts.catalogue import Catalogue
    from eventing.broker import Broker, Refuse, Subscriber
    from eventing.publisher import Publisher
    from eventing.queues import QueueDeclaration
    from eventing.triggers import Trigger
    from functions.dead_letter.service import Deliver
    from functions.runtime.broker_condition import Watch
    from functions.runtime.redaction import Redactor
    from functions.runtime.shared_relay import SharedRelay
    from functions.scheduler.service import Bell
    from functions.stores.condition import Condition
    from functions.stores.event_log import EventLog
    from functions.stores.job_store import JobStore, Recovered
    from functions.stores.stats_store import StatsStore


class Parts(Maker):
    """Each is made on its first use. `hosted` says that whoever made these parts starts and drains the functions, `whole` that all
    six live here (`hosted` and not `whole`: one process of several)."""

    def __init__(self, settings: Settings, *, hosted: bool = False, whole: bool | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.hosted = hosted
        self.whole = hosted if whole is None else whole
        self.folder = DataFolder(settings.data_folder)
        self.recovered: Recovered | None = None

    # ---- stores -----------------------------------------------------------------------------------------------

    @once
    async def job_store(self) -> "JobStore":
        from functions.stores import faults

        if self.settings.test_kill:
            faults.arm(self.settings.test_kill)
        if not self.settings.postgres_url:
            self.folder.check_not_carried_over()
            if not self.hosted:
                self.folder.acquire()
        store = adapters.job_store(self.settings, self.settings.instance)
        self.recovered = await store.open()
        await store.declare_queues([(q.name, q.max_running, q.rate_per_second, q.paused) for q in self.queues().values()])
        if not (self.whole or self.settings.quiet):  # each process tells of the attempts whose end it committed
            from observability import job_lines

            store.on_own_committed(job_lines.logged)
        return store

    async def open_search(self) -> None:
        """Lets jobs be found by what may be seen of them."""
        redactor = await self.redactor()
        await (await self.job_store()).open_search(redactor.searched(asyncio.get_running_loop()), redactor.version)

    @once
    async def redactor(self) -> "Redactor":
        """What hides secrets on every way out of the store."""
        from functions.runtime.redaction import Redactor, secret_schemas

        catalogue, store = await self.catalogue(), await self.job_store()
        look_up = partial(store.remember_secrets, {}) if self.settings.postgres_url else None  # a data folder has one process at a time
        return Redactor(catalogue, await store.remember_secrets(secret_schemas(catalogue)), look_up)

    @once
    async def stats_store(self) -> "StatsStore":
        return adapters.stats_store(self.settings, await self.job_store())

    @once
    async def event_log(self) -> "EventLog":
        return adapters.event_log(self.settings, await self.job_store())

    async def close(self) -> None:
        for store in ("broker_watch", "event_log", "stats_store", "job_store"):
            if store in self.made:
                await self.made[store].close()
        self.folder.release()

    # ---- what is declared -------------------------------------------------------------------------------------

    def queues(self) -> "dict[str, QueueDeclaration]":
        from eventing.queues import load_queues

        if "queues" not in self.made:
            self.made["queues"] = load_queues()
        queues: dict[str, QueueDeclaration] = self.made["queues"]
        return queues

    def triggers(self) -> "list[Trigger]":
        from eventing.triggers import load_triggers

        return load_triggers(self.settings.trigger_files)

    def triggers_of(self, function: str) -> list[str]:
        """The names of the Triggers whose subscriber is that function; a queue's own Service (`processor-io`) is its function's."""
        services = [(trigger.name, trigger.subscriber.service or "") for trigger in self.triggers()]
        return [name for name, service in services if service == function or service.startswith(f"{function}-")]

    def keep_catalogue(self, catalogue: "Catalogue") -> None:
        self.made["catalogue"] = catalogue

    @once
    async def catalogue(self) -> "Catalogue":
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

    @once
    async def publisher(self) -> "Publisher | None":
        """Where committed events go for other processes to hear of; None where this process delivers them itself, or nobody does."""
        if self.hosted:
            return None
        if self.settings.broker_url:
            return adapters.knative_publisher(self.settings, self.triggers())
        return await self.broker({}) if self.settings.rabbitmq_url else None

    async def broker(self, subscribers: "Mapping[str, Subscriber]", refuse: "Refuse | None" = None, *, webhooks: bool = False) -> "Broker":
        """RabbitMQ, begun: it delivers to these functions of this process. `refuse` keeps messages that are no events; with `webhooks`
        it delivers to the Triggers' URLs, too."""
        broker = adapters.rabbit_broker(self.settings, self.triggers(), subscribers, refuse, webhooks=webhooks)
        await broker.start()
        return broker

    def deliver_alone(self) -> "Deliver":
        """Sends an event to one Trigger's subscriber, which lives in another process."""
        return adapters.deliver_alone(self.settings, self.triggers())

    @once
    async def broker_watch(self) -> "Watch":
        return adapters.rabbit_watch(self.settings)

    async def broker_condition(self) -> "Callable[[], Awaitable[Condition]] | None":
        """What tells of RabbitMQ, where events go through it."""
        settings = self.settings
        if not settings.rabbitmq_url or self.whole or (settings.broker_url and not self.hosted):
            return None
        from functions.runtime.broker_condition import BrokerCondition

        return BrokerCondition(await self.job_store(), await self.broker_watch())

    @once
    async def relay(self) -> "SharedRelay | None":
        """Publishes what is committed; None where there is no publisher."""
        publisher = await self.publisher()
        if publisher is None:
            return None
        from functions.runtime.shared_relay import SharedRelay

        relay = SharedRelay(await self.job_store(), publisher, (await self.redactor()).events)
        await relay.start()
        return relay

    def keep_bell(self, bell: "Bell") -> None:
        self.made["bell"] = bell

    @once
    async def bell(self) -> "Bell":
        """How the scheduler rings the others."""
        publisher, relay = await self.publisher(), await self.relay()
        if publisher is None or relay is None:
            from functions.runtime.bells import SilentBell

            return SilentBell()
        return await self.bell_of(publisher, relay.nudge)

    async def bell_of(self, publisher: "Publisher", nudge_relay: Callable[[], None]) -> "Bell":
        """A bell that rings by that publisher."""
        from functions.runtime.bells import PublishedBell

        return PublishedBell(await self.job_store(), publisher, (await self.redactor()).events, nudge_relay)
