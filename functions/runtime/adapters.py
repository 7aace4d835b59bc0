"""Which adapters the settings name: the stores and the brokers, each built and not yet opened or begun.

Whoever wires functions, or works on stores at rest, gets them here and knows them by their ports. Imports what is used alone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.runtime.data_folder import DataFolder
from functions.runtime.settings import Settings

if TYPE_CHECKING:
    from contracts.event import Event
    from eventing.broker import Broker, Refuse, Subscriber
    from eventing.brokers.rabbitmq.watch import RabbitWatch
    from eventing.publisher import Publisher
    from eventing.triggers import Trigger
    from functions.dead_letter.service import Deliver
    from functions.stores.backends.postgres_job_store import PostgresJobStore
    from functions.stores.backends.sqlite_job_store import SqliteJobStore
    from functions.stores.event_log import EventLog
    from functions.stores.job_store import JobStore
    from functions.stores.stats_store import StatsStore

# ---- stores -------------------------------------------------------------------------------------------------------


def job_store(settings: Settings, application: str) -> "PostgresJobStore | SqliteJobStore":
    """On PostgreSQL, where the settings name one (its sessions are called `application`), else in the data folder."""
    from contracts import validation

    if settings.postgres_url:
        from functions.stores.backends.postgres_job_store import PostgresJobStore

        return PostgresJobStore.at(settings.postgres_url, check=validation.validate_event, migrate=settings.migrate, application=application)
    from functions.stores.backends.sqlite_job_store import SqliteJobStore

    return SqliteJobStore.at(DataFolder(settings.data_folder).database, check=validation.validate_event)


def stats_store(settings: Settings, store: Any) -> "StatsStore":
    """On Redis, where the settings name one, else beside the jobs of `store`, the job store of the same settings."""
    if settings.redis_url:
        from functions.stores.backends.redis_stats_store import KEPT_SECONDS, RedisStatsStore

        kept = round(settings.keep_statistics_days * 86_400) or 10 * KEPT_SECONDS
        return RedisStatsStore(settings.redis_url, store.source, kept)
    if settings.postgres_url:
        from functions.stores.backends.postgres_stats_store import PostgresStatsStore

        return PostgresStatsStore(store)
    from functions.stores.backends.sqlite_stats_store import SqliteStatsStore

    return SqliteStatsStore(store.database)


def event_log(settings: Settings, store: "JobStore") -> "EventLog":
    """On MongoDB, where the settings name one, else what the job store keeps."""
    if settings.mongo_url:
        from functions.stores.backends.mongo_event_log import MongoEventLog

        return MongoEventLog(settings.mongo_url, store.source)
    from functions.stores.backends.feed_event_log import FeedEventLog

    return FeedEventLog(store)


# ---- brokers ------------------------------------------------------------------------------------------------------


def embedded_broker(
    triggers: "Sequence[Trigger]", subscribers: "Mapping[str, Subscriber]", feed: "Callable[[int, int], Awaitable[list[Event]]]"
) -> "Broker":
    """Delivers within this process; what is too much for its memory is read from the feed again."""
    from eventing.brokers.embedded import EmbeddedBroker

    return EmbeddedBroker(triggers, subscribers, feed=feed)


def rabbit_broker(
    settings: Settings, triggers: "Sequence[Trigger]", subscribers: "Mapping[str, Subscriber]", refuse: "Refuse | None" = None,
    *, webhooks: bool = False,
) -> "Broker":  # fmt: skip
    """Between processes, over RabbitMQ."""
    from eventing.brokers.rabbitmq import RabbitBroker

    return RabbitBroker(
        settings.rabbitmq_url, triggers, subscribers, name=settings.instance, refuse=refuse, webhooks=webhooks, addresses=settings.subscriber_urls
    )


def rabbit_watch(settings: Settings) -> "RabbitWatch":
    """What asks RabbitMQ how it is."""
    from eventing.brokers.rabbitmq.watch import RabbitWatch

    return RabbitWatch(settings.rabbitmq_url, name=settings.instance)


def knative_publisher(settings: Settings, triggers: "Sequence[Trigger]") -> "Publisher":
    """Between functions of a cluster, by its Broker's ingress."""
    from eventing.brokers.knative import KnativePublisher

    return KnativePublisher(settings.broker_url, triggers)


def deliver_alone(settings: Settings, triggers: "list[Trigger]") -> "Deliver":
    """Sends an event to one Trigger's subscriber, which lives in another process."""
    from eventing.brokers.sending import Senders

    return partial(Senders({}, addresses=settings.subscriber_urls).deliver_alone, triggers)


def check_urls(settings: Settings) -> None:
    """Raises ConfigurationError for a server's URL that cannot be one. Connects to nothing."""
    from contracts import validation
    from eventing.brokers.rabbitmq import RabbitBroker
    from eventing.triggers import load_triggers
    from functions.stores.backends.postgres_job_store import PostgresJobStore
    from functions.stores.backends.redis_stats_store import RedisStatsStore

    PostgresJobStore.at(settings.postgres_url, check=validation.validate_event)
    RedisStatsStore(settings.redis_url, "urn:observatory:none")
    RabbitBroker(settings.rabbitmq_url, load_triggers(settings.trigger_files), {})
