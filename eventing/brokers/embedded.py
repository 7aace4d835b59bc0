"""The embedded broker: delivers to the functions of this process, and to URLs, by the same Trigger files as the others."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from contracts.errors import BrokerUnavailable
from contracts.event import Event
from contracts.log_fields import about
from eventing.broker import Subscriber, TriggerStatistics
from eventing.brokers.courier import Courier, Feed, Timer
from eventing.brokers.sending import BATCH, Senders
from eventing.brokers.webhook import HttpClientFactory, new_http_client
from eventing.triggers import Trigger

log = logging.getLogger("observatory.broker")

MAX_PENDING = 10_000
_ROUTES = 4_096


class EmbeddedBroker:
    """A Broker (see eventing.broker) in memory. What a crash loses, the feed rings again: `confirmed` says from where.

    `subscribers` are the functions hosted here, by the name of their Service. A Trigger whose Service is not among them
    is absent: its events stay unconfirmed, so that a later start with that function delivers them; with `skip_absent`
    they are passed over. `max_pending` bounds the events held for each Trigger. With `feed`, a URL that is slow or away
    does not use up `room`: what does not fit is read from the feed later (events as published, secrets redacted).
    """

    def __init__(
        self,
        triggers: Sequence[Trigger],
        subscribers: Mapping[str, Subscriber],
        *,
        max_pending: int = MAX_PENDING,
        batch: int = BATCH,
        feed: Feed | None = None,
        skip_absent: bool = False,
        http_client: HttpClientFactory = new_http_client,
        timer: Timer | None = None,
    ) -> None:
        self._senders = Senders(subscribers, batch=batch, http_client=http_client)
        self._max_pending, self._timer = max_pending, timer
        self._couriers = [self._courier(trigger, feed) for trigger in triggers if not (skip_absent and self._absent(trigger))]
        self._filters = tuple({name: None for courier in self._couriers for name in courier.trigger.attributes})
        self._routes: dict[tuple[str | None, ...], tuple[Callable[[Event], None], ...]] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._running = False
        self._published = 0
        self._confirmed = 0
        self._was_full = False

    # Publisher

    async def publish(self, events: Sequence[Event]) -> None:
        """As Publisher.publish. Raises BrokerUnavailable before start, after stop, and for more events than `room`."""
        if not self._running:
            raise BrokerUnavailable("The broker is not running; nothing was taken.")
        if len(events) > self.room:
            self._was_full = True
            raise BrokerUnavailable(f"The broker has room for {self.room} more events, not for {len(events)}; none was taken.")
        if not events:
            return
        fresh = events
        if events[0].position <= self._published:
            fresh = [event for event in events if event.position > self._published]
            self._hand_out([event for event in events if event.position <= self._published], again=True)
        if fresh:
            self._published = fresh[-1].position
            self._hand_out(fresh, again=False)
        self._settled()

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def room(self) -> int:
        fullest = max((courier.backlog.pending for courier in self._couriers if not courier.backlog.overflows), default=0)
        room = max(self._max_pending - fullest, 0)
        self._was_full = self._was_full or not room
        return room

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    # Broker

    async def start(self) -> None:
        """Begins to deliver; a Trigger that cannot be served here is named in the log."""
        self._running = True
        for courier in self._couriers:
            if self._absent(courier.trigger):
                log.warning(
                    "%s: no Service %r runs here; its events stay unconfirmed",
                    courier.trigger.name, courier.trigger.subscriber.service,
                    extra=about("broker.absent", trigger=courier.trigger.name),
                )  # fmt: skip
            courier.start(self._timer or asyncio.get_running_loop())

    async def stop(self, grace_seconds: float = 10.0) -> None:
        self._running = False
        await asyncio.gather(*(courier.stop(grace_seconds) for courier in self._couriers))
        await self._senders.close()

    async def deliver_alone(self, trigger: str, event: Event) -> tuple[int, str]:
        """Delivers an event to one Trigger's subscriber, once; its status and what it said. Raises NotFound."""
        return await self._senders.deliver_alone([courier.trigger for courier in self._couriers], trigger, event)

    @property
    def statistics(self) -> dict[str, TriggerStatistics]:
        """What became of the events so far, by Trigger."""
        return {courier.trigger.name: courier.statistics for courier in self._couriers}

    # Routing

    def _hand_out(self, events: Sequence[Event], *, again: bool) -> None:
        routes, filters = self._routes, self._filters
        for event in events:
            key = tuple(map(event.document.get, filters))
            targets = routes.get(key)
            if targets is None:
                targets = self._find_targets(key, event)
            for put in targets:
                put(event)
        for courier in self._couriers:
            if courier.inbox:
                courier.collect(again=again)

    def _find_targets(self, key: tuple[str | None, ...], event: Event) -> tuple[Callable[[Event], None], ...]:
        """The inboxes of an event, kept by the values that filters look at: most events share a few of them."""
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        targets = tuple(courier.inbox.append for courier in self._couriers if courier.trigger.matches(event))
        self._routes[key] = targets
        return targets

    def _settled(self) -> None:
        floors = [floor for courier in self._couriers if (floor := courier.backlog.floor) is not None]
        confirmed = min(floors) - 1 if floors else self._published
        grown = confirmed > self._confirmed
        self._confirmed = max(confirmed, self._confirmed)
        if grown or (self._was_full and self._has_room()):
            for callback in self._callbacks:
                callback()

    def _has_room(self) -> bool:
        self._was_full = False
        return self.room > 0

    # Couriers

    def _absent(self, trigger: Trigger) -> bool:
        return not self._senders.reaches(trigger.subscriber)

    def _courier(self, trigger: Trigger, feed: Feed | None) -> Courier:
        sink = trigger.delivery.dead_letter
        return Courier(
            trigger,
            self._senders.route(trigger, trigger.subscriber),
            self._senders.sender(trigger, sink) if sink else None,
            bound=self._max_pending,
            feed=feed if trigger.subscriber.url is not None else None,
            on_settled=lambda _: self._settled(),
        )
