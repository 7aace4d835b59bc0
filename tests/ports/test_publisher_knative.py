"""The publisher of a cluster: the half of the brokers' behaviour that is its own.

The Broker's ingress is a double here, a small real HTTP server that answers 202: which Trigger gets what is decided by the cluster's own
Broker, and tried on a real one by `make e2e`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import pytest

from eventing.broker import Subscriber
from eventing.brokers.knative import KnativePublisher
from eventing.triggers import Trigger
from tests.ports.broker_suite import PublisherSuite, Start
from tests.support.webhook import Webhook, listening


class TestKnativePublisher(PublisherSuite):
    @pytest.fixture
    def ingress(self) -> Iterator[Webhook]:
        with listening(202) as (played,):
            yield played

    @pytest.fixture
    async def start(self, ingress: Webhook) -> AsyncIterator[Start]:
        started: list[KnativePublisher] = []

        async def start(triggers: Sequence[Trigger], subscribers: Mapping[str, Subscriber]) -> KnativePublisher:
            publisher = KnativePublisher(ingress.url, triggers)
            started.append(publisher)
            await publisher.start()
            return publisher

        yield start
        for publisher in started:
            await publisher.stop()
