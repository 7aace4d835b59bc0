"""Publishes to a Knative Broker: a POST an event to its ingress; the cluster's own Triggers deliver.

Knative Eventing, "Broker": the ingress takes a CloudEvent by HTTP and answers 202 once it is in the broker's queues.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from contracts.errors import BrokerUnavailable, NotFound
from contracts.event import Event
from contracts.log_fields import about
from eventing.brokers.webhook import HttpClientFactory, Webhooks
from eventing.triggers import Trigger

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("observatory.knative")
MAX_PENDING = 1_000
AT_ONCE = 32  # POSTs side by side
TRIES = 3
PAUSE_SECONDS = 0.1


def new_http_client() -> "httpx.AsyncClient":
    """A client that keeps its connections, follows no redirect, and waits for the ingress no longer than 10 s."""
    import httpx

    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    return httpx.AsyncClient(timeout=10.0, limits=limits, follow_redirects=False, headers={"user-agent": "observatory"})


class KnativePublisher:
    """A Publisher (see eventing.publisher) over the ingress at `url`. `confirmed` means: the ingress has answered 2xx.

    Events go out side by side, so they may arrive in another order: what they ring for reads the feed in its own.
    `namespace` is where Services are reached for a single delivery.
    """

    def __init__(
        self, url: str, triggers: Sequence[Trigger] = (), *, namespace: str = "observatory", http_client: HttpClientFactory = new_http_client
    ) -> None:
        self._url, self._triggers, self._namespace = url, triggers, namespace
        self._webhooks = Webhooks(http_client)
        self._confirmed = 0
        self._under_way = 0
        self._stopped = False
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._callbacks: list[Callable[[], None]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        """As Publisher.publish; returns when the ingress has taken all. Raises BrokerUnavailable when it did not take one of them:
        what stands before that one is confirmed; and after stop, or for more events than `room`: then none was sent."""
        if self._stopped:
            raise BrokerUnavailable("The publisher is stopped; nothing was sent.")
        if len(events) > self.room:
            raise BrokerUnavailable(f"The publisher has room for {self.room} more events, not for {len(events)}; none was sent.")
        self._under_way += len(events)
        try:
            taken = await asyncio.gather(*(self._send(event) for event in events))
        finally:
            self._under_way -= len(events)
        self._confirm(events, taken)
        if not all(taken):
            raise BrokerUnavailable(f"the Knative Broker at {self._url} did not take {taken.count(False)} of {len(events)} events")

    def _confirm(self, events: Sequence[Event], taken: Sequence[bool]) -> None:
        for event, is_taken in zip(events, taken, strict=True):
            if not is_taken:
                break
            self._confirmed = max(self._confirmed, event.position)
        for callback in self._callbacks:
            callback()

    async def _send(self, event: Event) -> bool:
        for number in range(1, TRIES + 1):
            async with self._turns:
                status, answer = await self._webhooks.post(self._url, event)
            if 200 <= status < 300:
                return True
            if number < TRIES:
                await asyncio.sleep(PAUSE_SECONDS * 2**number)
        log.warning("the Broker does not take an event: %s %s", status, answer[:200].decode(errors="replace"), extra=about("broker.waiting"))
        return False

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def room(self) -> int:
        return max(MAX_PENDING - self._under_way, 0)

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def start(self) -> None:
        self._stopped = False

    async def stop(self, grace_seconds: float = 10.0) -> None:
        self._stopped = True
        await self._webhooks.close()

    async def deliver_alone(self, trigger: str, event: Event) -> tuple[int, str]:
        """Delivers an event to one Trigger's subscriber, once; its status and what it said. Raises NotFound."""
        found = next((each for each in self._triggers if each.name == trigger), None)
        if found is None:
            raise NotFound(f"there is no Trigger {trigger} any more; its dead letters can only be discarded")
        to = found.subscriber
        url = to.url or f"http://{to.service}.{self._namespace}.svc.cluster.local{to.uri or ''}"
        status, answer = await self._webhooks.post(url, event)
        return status, answer.decode("utf-8", "replace")
