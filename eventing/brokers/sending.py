"""Ways to subscribers: functions of this process by the name of their Service, everything else by HTTP."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from contracts.errors import NotFound, Passing
from contracts.event import Event
from contracts.log_fields import about
from eventing.broker import Subscriber
from eventing.brokers.courier import Route, Send
from eventing.brokers.webhook import HttpClientFactory, Webhooks, new_http_client
from eventing.outcomes import NO_ANSWER
from eventing.triggers import Destination, Trigger

log = logging.getLogger("observatory.broker")
BATCH = 500


class Senders:
    """`hosted` are functions of this process, `addresses` the base URLs of Services in others (for `deliver_alone`)."""

    def __init__(
        self,
        hosted: Mapping[str, Subscriber],
        *,
        addresses: Mapping[str, str] | None = None,
        batch: int = BATCH,
        http_client: HttpClientFactory = new_http_client,
    ) -> None:
        self._hosted, self._addresses, self._batch = hosted, addresses or {}, batch
        self._webhooks = Webhooks(http_client)

    def reaches(self, destination: Destination) -> bool:
        """Whether events for it can be delivered from this process: a function hosted here, or a URL."""
        return destination.url is not None or destination.service in self._hosted

    def sender(self, trigger: Trigger, destination: Destination) -> Send | None:
        """The way to a Trigger's subscriber or sink; None when it is not reached from here."""
        timeout = trigger.delivery.timeout_seconds
        if destination.url is not None:
            return partial(_post_each, self._webhooks, destination.url, timeout)
        subscriber = self._hosted.get(destination.service or "")
        return partial(_call, subscriber, trigger.name, timeout) if subscriber else None

    def route(self, trigger: Trigger, destination: Destination) -> Route | None:
        """In-process deliveries keep their order, one batch at a time; POSTs run side by side, as far as the Trigger allows."""
        send = self.sender(trigger, destination)
        if send is None:
            return None
        return Route(send, self._batch, 1) if destination.url is None else Route(send, 1, trigger.parallelism)

    async def deliver_alone(self, triggers: Sequence[Trigger], name: str, event: Event) -> tuple[int, str]:
        """Delivers an event to one Trigger's subscriber, once; its status and what it said. Raises NotFound."""
        trigger = next((trigger for trigger in triggers if trigger.name == name), None)
        if trigger is None:
            raise NotFound(f"there is no Trigger {name} any more; its dead letters can only be discarded")
        send = self.sender(trigger, self._located(trigger.subscriber))
        if send is None:
            raise NotFound(f"the subscriber of the Trigger {name} does not run here")
        statuses, answer = await send([event])
        return statuses[0], answer.decode("utf-8", "replace")

    def _located(self, destination: Destination) -> Destination:
        """A Service of another process by its URL, where that is known."""
        if destination.service is None or destination.service in self._hosted or destination.service not in self._addresses:
            return destination
        return Destination(url=self._addresses[destination.service].rstrip("/") + (destination.uri or ""))

    async def close(self) -> None:
        await self._webhooks.close()


async def _call(
    subscriber: Subscriber, trigger: str, timeout_seconds: float | None, events: Sequence[Event]
) -> tuple[Sequence[int], bytes]:
    """Calls a function of this process; whatever it raises is a 5xx, so that its events are tried again."""
    status = 500
    try:
        async with asyncio.timeout(timeout_seconds):
            statuses = await subscriber(trigger, events)
        if len(statuses) == len(events):
            return statuses, b""
        reason = f"answered {len(statuses)} statuses for {len(events)} events"
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        reason = "was cancelled"
    except Exception as error:
        status = error.status if isinstance(error, Passing) else 500
        reason = f"{type(error).__name__}: {error}"
    log.warning("%s: a delivery failed: %s", trigger, reason, extra=about("broker.failed", events[0], trigger=trigger))
    return [status] * len(events), reason.encode(errors="replace")


async def _post_each(webhooks: Webhooks, url: str, timeout_seconds: float | None, events: Sequence[Event]) -> tuple[Sequence[int], bytes]:
    statuses = []
    answer = b""
    for event in events:
        try:
            async with asyncio.timeout(timeout_seconds):
                status, answer = await webhooks.post(url, event)
        except TimeoutError:
            status, answer = NO_ANSWER, f"no answer within {timeout_seconds} s".encode()
        statuses.append(status)
    return statuses, answer
