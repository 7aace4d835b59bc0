"""The courier: carries one Trigger's events to its subscriber, in order, in batches, again and again if need be."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.errors import ObservatoryError
from contracts.event import Event
from contracts.log_fields import about
from eventing.broker import TriggerStatistics
from eventing.brokers.backlog import Backlog, Parcel
from eventing.outcomes import Outcome, dead_letter, outcome_of
from eventing.triggers import Trigger

log = logging.getLogger("observatory.broker")

Send = Callable[[Sequence[Event]], Awaitable[tuple[Sequence[int], bytes]]]
"""Delivers events; answers a status for each and, for the dead letters, what the subscriber said."""

Feed = Callable[[int, int], Awaitable[Sequence[Event]]]
"""Reads the feed: the events after a position, at most so many, in order."""

FEED_BATCH = 500
FEED_PAUSE_SECONDS = 1.0
SINK_PAUSES_SECONDS = (0.1, 30.0)


class Handle(Protocol):
    def cancel(self) -> None: ...


class Timer(Protocol):
    """What a courier needs of an event loop; a test hands in its own."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Handle: ...


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a subscriber: up to `batch` events a delivery, `slots` deliveries at once."""

    send: Send
    batch: int
    slots: int


class Courier:
    """Delivers the events of one Trigger at least once, and knows the lowest position that is not settled yet.

    A subscriber that is not hosted here (`route` is None) gets nothing, and its first event stays unsettled. With a
    `feed`, no more than `bound` events are held in memory: the ones beyond are read from the feed when their turn comes.
    `on_settled` gets the events that are done with: taken, dropped, or taken by the dead letter sink.
    """

    def __init__(
        self,
        trigger: Trigger,
        route: Route | None,
        sink: Send | None,
        *,
        bound: int,
        feed: Feed | None,
        on_settled: Callable[[Sequence[Event]], None],
        statistics: TriggerStatistics | None = None,
    ) -> None:
        self.trigger = trigger
        self.inbox: list[Event] = []
        self.backlog = Backlog(bound=bound, overflows=feed is not None)
        self._route, self._sink, self._feed, self._on_settled = route, sink, feed, on_settled
        self._statistics = statistics or TriggerStatistics()
        self._carriers: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None
        self._alarm: Handle | None = None
        self._reading = False
        self._read_at = 0.0  # not before: the feed was away

    def start(self, timer: Timer) -> None:
        self._timer = timer
        self._pump()

    async def stop(self, grace_seconds: float) -> None:
        """Begins no further delivery, waits for those under way, then cuts them off."""
        self._timer = None
        self._set_alarm(None)
        if self._carriers:
            _, late = await asyncio.wait(self._carriers, timeout=grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def statistics(self) -> TriggerStatistics:
        self._statistics.pending = self.backlog.pending
        return self._statistics

    def collect_dead(self, letters: Sequence[Event]) -> None:
        """Takes dead letters, which go to the sink alone."""
        self.backlog.put_off(Parcel(list(letters), None, dead=True), self._now())
        self._pump()

    def collect(self, *, again: bool) -> None:
        """Takes over what the broker put into the inbox; `again` says that these positions were published before."""
        events, self.inbox[:] = self.inbox[:], []
        if self._route is None:
            if not again:
                self.backlog.get_stuck(events[0].position)
        elif again:
            self.backlog.put_off(Parcel(events, None), self._now())
        else:
            self.backlog.add(events)
        self._pump()

    # Carriers: tasks that deliver one parcel after the other and end when there is none

    def _pump(self) -> None:
        """Starts as many carriers as there is work and room for, and sets the alarm for what is due later."""
        if self._timer is None or self._route is None:
            return
        now = self._now()  # once: what comes due between two looks at the clock would be neither work nor an alarm
        for _ in range(min(self._route.slots - len(self._carriers), self._work(now))):
            self._carriers.add(asyncio.create_task(self._carry(), name=self.trigger.name))
        self._set_alarm(self._next_alarm(now))

    def _work(self, now: float) -> int:
        """How many carriers would find something to do."""
        due_at = self.backlog.due_at
        return self.backlog.waiting + (due_at is not None and due_at <= now) + self._may_read(now)

    def _may_read(self, now: float) -> bool:
        wanted = self.backlog.left_out is not None and not self.backlog.waiting
        return wanted and not self._reading and self._read_at <= now

    def _next_alarm(self, now: float) -> float | None:
        """The next instant at which there will be work that is none yet."""
        instants = (self.backlog.due_at, self._read_at if self.backlog.left_out else None)
        return min((instant for instant in instants if instant is not None and instant > now), default=None)

    def _set_alarm(self, instant: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if instant is not None and self._timer is not None:
            self._alarm = self._timer.call_later(instant - self._now(), self._pump)

    def _now(self) -> float:
        return self._timer.time() if self._timer else 0.0

    async def _carry(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while parcel := await self._next():
                await self._deliver(parcel)
        except Exception:  # a fault of ours: its events stay unconfirmed, the others go on
            log.exception("%s: a courier broke down", self.trigger.name, extra=about("broker.broken", trigger=self.trigger.name))
        finally:
            self._carriers.discard(task)
            self._pump()

    async def _next(self) -> Parcel | None:
        if self._timer is None or self._route is None:
            return None
        if due := self.backlog.take_due(self._now(), self._route.batch):
            return due
        if self._may_read(self._now()):
            await self._read_on()
        return self.backlog.take(self._route.batch)

    async def _read_on(self) -> None:
        """Fills the backlog with events that found no room when they were published."""
        assert self._feed is not None and self.backlog.left_out is not None
        self._reading = True
        try:
            events = await self._feed(self.backlog.left_out[0] - 1, FEED_BATCH)
        except ObservatoryError as error:
            log.warning("%s waits for the feed: %s", self.trigger.name, error, extra=about("broker.feed_away", trigger=self.trigger.name))
            self._read_at = self._now() + FEED_PAUSE_SECONDS
            return
        finally:
            self._reading = False
        matching = [event for event in events if self.trigger.matches(event)]
        self.backlog.add_read(matching, events[-1].position if events else self.backlog.left_out[1])
        self._on_settled(())

    # Deliveries, and what follows from their answers

    async def _deliver(self, parcel: Parcel) -> None:
        assert self._route is not None
        send = self._sink if parcel.dead else self._route.send
        assert send is not None
        statuses, answer = await send(parcel.events)
        parcel.attempts += 1
        left: list[tuple[Event, int]] = []
        if statuses.count(200) == len(parcel.events):
            self._count_taken(parcel, len(parcel.events))
        elif parcel.dead:
            left = self._after_sink(parcel, statuses)
        else:
            left = self._after_subscriber(parcel, statuses, answer)
        self.backlog.settle(parcel)
        self._on_settled(_without(parcel.events, left))

    def _count_taken(self, parcel: Parcel, number: int) -> None:
        if parcel.dead:
            self._statistics.dead_lettered += number
        else:
            self._statistics.delivered += number

    def _after_subscriber(self, parcel: Parcel, statuses: Sequence[int], answer: bytes) -> list[tuple[Event, int]]:
        """Puts off what has to be delivered again, or to the sink; returns it, with its statuses."""
        outcomes = [outcome_of(status) for status in statuses]
        self._count_taken(parcel, outcomes.count(Outcome.TAKEN))
        if Outcome.DROPPED in outcomes:
            self._report_dropped(parcel, statuses)
        left = [
            (event, status) for event, status, outcome in zip(parcel.events, statuses, outcomes, strict=True) if outcome is Outcome.AGAIN
        ]
        delivery = self.trigger.delivery
        if not left:
            return []
        if parcel.attempts > delivery.retry:
            return self._give_up(parcel, left, answer)
        self._statistics.retried += len(left)
        again = parcel.rest([event for event, _ in left])
        self.backlog.put_off(again, self._now() + delivery.delay_seconds(parcel.attempts))
        return left

    def _report_dropped(self, parcel: Parcel, statuses: Sequence[int]) -> None:
        refused = [status for status in statuses if outcome_of(status) is Outcome.DROPPED]
        self._statistics.dropped += len(refused)
        first = parcel.events[statuses.index(refused[0])]
        log.warning(
            "%s: %d events were answered %s and count as delivered, as the RabbitMQ Broker has it; the first is %s",
            self.trigger.name, len(refused), sorted(set(refused)), first.id,
            extra=about("broker.dropped", first, trigger=self.trigger.name),
        )  # fmt: skip

    def _give_up(self, parcel: Parcel, left: list[tuple[Event, int]], answer: bytes) -> list[tuple[Event, int]]:
        """Hands events to the dead letter sink after their last try; returns those that are not done with."""
        if self._sink is not None:
            letters = [dead_letter(event, self.trigger, status, answer, parcel.attempts) for event, status in left]
            self.backlog.put_off(parcel.rest(letters, dead=True), self._now())
            return left
        event, status = left[0]
        if self.trigger.delivery.dead_letter is None:
            self._statistics.lost += len(left)
        elif parcel.lowest is not None:  # declared and not hosted here: a later start has to deliver it
            self.backlog.get_stuck(event.position)
        log.error(
            "%s: %d events could not be delivered (%d), and there is no dead letter sink; the first is %s",
            self.trigger.name, len(left), status, event.id,
            extra=about("broker.no_sink", event, trigger=self.trigger.name),
        )  # fmt: skip
        return []

    def _after_sink(self, parcel: Parcel, statuses: Sequence[int]) -> list[tuple[Event, int]]:
        """A dead letter that its sink did not take is tried again for ever: nothing else holds it."""
        failed = [(event, status) for event, status in zip(parcel.events, statuses, strict=True) if outcome_of(status) is not Outcome.TAKEN]
        self._count_taken(parcel, len(parcel.events) - len(failed))
        if not failed:
            return []
        shortest, longest = SINK_PAUSES_SECONDS
        seconds = min(max(self.trigger.delivery.delay_seconds(parcel.attempts), shortest), longest)
        self.backlog.put_off(parcel.rest([event for event, _ in failed], dead=True), self._now() + seconds)
        log.error(
            "%s: the dead letter sink answered %d; %d dead letters are tried again in %.1f s",
            self.trigger.name, failed[0][1], len(failed), seconds,
            extra=about("broker.sink_failed", failed[0][0], trigger=self.trigger.name),
        )  # fmt: skip
        return failed


def _without(events: list[Event], left: list[tuple[Event, int]]) -> list[Event]:
    """The events that are not among those left."""
    if not left:
        return events
    kept = {id(event) for event, _ in left}
    return [event for event in events if id(event) not in kept]
