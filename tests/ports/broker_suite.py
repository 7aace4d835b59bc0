"""What every Broker does. An adapter's test inherits BrokerSuite and brings the fixture `start`, which stops after a test what it started.

PublisherSuite is the half of it that every Publisher has to pass, also one that hands on to a broker elsewhere.
"""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from contracts.errors import BrokerUnavailable, NotFound, StoreUnavailable
from contracts.event import Event
from eventing.broker import Broker, Subscriber
from eventing.triggers import Delivery, Destination, Trigger
from tests.ports import broker_conformance as conformance

Start = Callable[[Sequence[Trigger], Mapping[str, Subscriber]], Awaitable[Broker]]
"""Starts a broker; a second one of the same test finds what the first has left behind."""

QUEUED, DONE = "dev.observatory.job.queued.v1", "dev.observatory.job.succeeded.v1"


def event(position: int, type: str = QUEUED, **attributes: str) -> Event:
    return Event(
        {
            "specversion": "1.0",
            "id": f"e-{position}",
            "source": "urn:observatory:test",
            "type": type,
            "datacontenttype": "application/json",
            "position": str(position),
            "data": {"number": position},
            **attributes,
        }
    )


def trigger(name: str, *, service: str = "worker", retry: int = 2, delay: float = 0.005, sink: bool = True, **attributes: str) -> Trigger:
    dead_letter = Destination("dead-letter", f"/triggers/{name}") if sink else None
    delivery = Delivery(retry=retry, backoff_delay_seconds=delay, dead_letter=dead_letter)
    return Trigger(name, Destination(service, f"/triggers/{name}"), attributes, delivery)


class Recorder:
    """A subscriber that keeps what it got and answers by a script: event id, or (trigger, event id) -> statuses, one a
    delivery, then 200."""

    def __init__(self, script: Mapping[Any, Sequence[int | Exception]] | None = None) -> None:
        self.script = {name: list(answers) for name, answers in (script or {}).items()}
        self.got: list[tuple[str, Event]] = []
        self.batches: list[list[str]] = []

    async def __call__(self, trigger: str, events: Sequence[Event]) -> list[int]:
        self.got += [(trigger, each) for each in events]
        self.batches.append([each.id for each in events])
        return [self._answer(trigger, each) for each in events]

    def _answer(self, trigger: str, each: Event) -> int:
        answers = self.script.get((trigger, each.id), self.script.get(each.id))
        answer = answers.pop(0) if answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ids(self, trigger: str | None = None) -> list[str]:
        return [each.id for name, each in self.got if trigger in (None, name)]


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.002)


async def settled(broker: Broker, triggers: Sequence[Trigger], events: Sequence[Event], seconds: float = 60.0) -> None:
    """Returns once each of these events is confirmed, and is done with at each of these Triggers that it matches."""
    owed = {each.name: sum(each.matches(sent) for sent in events) for each in triggers}

    def is_done() -> bool:
        found = broker.statistics
        return broker.confirmed >= events[-1].position and all(found[name].done >= count for name, count in owed.items())

    await until(is_done, seconds)


class PublisherSuite:
    """What every Publisher does, whatever becomes of the events."""

    async def test_what_was_published_is_confirmed(self, start: Start) -> None:
        broker = await start([trigger("all")], {"worker": Recorder(), "dead-letter": Recorder()})
        assert broker.confirmed == 0
        await broker.publish([event(1), event(2)])
        await broker.publish([event(3)])
        await until(lambda: broker.confirmed == 3)

    async def test_events_that_match_nothing_are_confirmed(self, start: Start) -> None:
        broker = await start([trigger("done", type=DONE)], {"worker": Recorder(), "dead-letter": Recorder()})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)

    async def test_publishing_nothing_changes_nothing(self, start: Start) -> None:
        broker = await start([trigger("all")], {"worker": Recorder(), "dead-letter": Recorder()})
        room = broker.room
        await broker.publish([])
        assert broker.confirmed == 0 and broker.room == room > 0

    async def test_confirmed_only_grows_and_each_growth_is_told(self, start: Start) -> None:
        worker = Recorder({f"e-{n}": [503] for n in range(1, 40, 3)})
        broker = await start([trigger("all"), trigger("io", queue="io")], {"worker": worker, "dead-letter": Recorder()})
        seen: list[int] = []
        broker.on_confirmed(lambda: seen.append(broker.confirmed))
        for n in range(1, 41):
            await broker.publish([event(n, queue=random.choice(["io", "bulk"]))])
        await until(lambda: broker.confirmed == 40)
        assert seen == sorted(seen) and seen[-1] == 40

    async def test_a_position_published_again_unconfirms_nothing(self, start: Start) -> None:
        broker = await start([trigger("all")], {"worker": Recorder(), "dead-letter": Recorder()})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)
        await broker.publish([event(2)])
        assert broker.confirmed == 2
        await broker.publish([event(1), event(3)])
        await until(lambda: broker.confirmed == 3)

    async def test_more_events_than_there_is_room_for_are_refused_and_none_is_taken(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        with pytest.raises(BrokerUnavailable):
            await broker.publish([event(n) for n in range(1, broker.room + 2)])
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert worker.ids() in ([], ["e-1"])

    async def test_a_stopped_broker_takes_nothing(self, start: Start) -> None:
        broker = await start([trigger("all")], {"worker": Recorder(), "dead-letter": Recorder()})
        await broker.stop()
        with pytest.raises(BrokerUnavailable):
            await broker.publish([event(1)])
        assert broker.confirmed == 0


class BrokerSuite(PublisherSuite):
    """One behaviour, whatever carries the events."""

    async def test_each_trigger_gets_exactly_the_events_that_it_matches(self, start: Start) -> None:
        worker, letters = Recorder(), Recorder()
        triggers = [
            trigger("queue-io", type=QUEUED, queue="io"),
            trigger("queue-bulk", type=QUEUED, queue="bulk"),
            trigger("all-io", queue="io"),
            trigger("done", type=DONE),
            trigger("all"),
        ]
        broker = await start(triggers, {"worker": worker, "dead-letter": letters})
        events = [
            event(1, QUEUED, queue="io"),
            event(2, QUEUED, queue="bulk"),
            event(3, QUEUED, queue="IO"),
            event(4, QUEUED),
            event(5, DONE, queue="io"),
            event(6, DONE + "x"),
            event(7, DONE, subject="io", queue="other"),
        ]
        await broker.publish(events)
        await settled(broker, triggers, events)
        expected = {(each.name, sent.id) for each in triggers for sent in events if each.matches(sent)}
        assert {(name, got.id) for name, got in worker.got} == expected
        assert len(worker.got) == len(expected) == 1 + 1 + 2 + 2 + 7
        assert letters.got == []

    async def test_an_event_arrives_as_it_was_sent(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        sent = [event(1, subject="Euro € 😀 100%", actor="a b", traceparent=trace), event(2, data=None), event(3, data=["x" * 300_000])]
        await broker.publish(sent)
        await until(lambda: len(worker.got) == 3)
        assert [(got.document, got.position) for _, got in worker.got] == [(each.document, each.position) for each in sent]

    async def test_a_trigger_gets_its_events_in_the_order_of_the_feed(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        for first in range(1, 1201, 100):
            await broker.publish([event(n) for n in range(first, first + 100)])
        await until(lambda: len(worker.got) == 1200)
        assert worker.ids() == [f"e-{n}" for n in range(1, 1201)]

    @pytest.mark.parametrize("status", [201, 202, 204])
    async def test_any_2xx_takes_the_event(self, start: Start, status: int) -> None:
        await self.outcome_of(start, [status], tries=1, letters=0)

    @pytest.mark.parametrize("status", [301, 304, 400, 401, 403, 405, 410, 413, 415, 422, 451])
    async def test_a_3xx_and_most_4xx_count_as_delivered(self, start: Start, status: int) -> None:
        await self.outcome_of(start, [status], tries=1, letters=0)

    @pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 501, 502, 503, 504, 599])
    async def test_a_5xx_and_four_4xx_are_tried_again(self, start: Start, status: int) -> None:
        await self.outcome_of(start, [status, status], tries=3, letters=0)

    async def test_a_subscriber_that_raises_is_tried_again(self, start: Start) -> None:
        worker, triggers = Recorder({"e-1": [RuntimeError("out of order"), StoreUnavailable()]}), [trigger("all")]
        broker = await start(triggers, {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1)])
        await settled(broker, triggers, [event(1)])
        assert worker.ids() == ["e-1"] * 3

    async def test_what_fails_each_time_is_a_dead_letter(self, start: Start) -> None:
        await self.outcome_of(start, [500, 503, 404, 200], tries=3, letters=1)

    @staticmethod
    async def outcome_of(start: Start, answers: Sequence[int | Exception], *, tries: int, letters: int) -> None:
        """One event that is answered so, and one behind it that is taken."""
        worker, sink, triggers = Recorder({"e-1": answers}), Recorder(), [trigger("all", retry=2)]
        broker = await start(triggers, {"worker": worker, "dead-letter": sink})
        sent = [event(1), event(2)]
        await broker.publish(sent)
        await settled(broker, triggers, sent)
        await until(lambda: len(sink.got) == letters)
        assert worker.ids().count("e-1") == tries
        assert worker.ids().count("e-2") == 1

    async def test_an_event_that_fails_does_not_hold_up_the_others(self, start: Start) -> None:
        worker = Recorder({"e-1": [503]})
        broker = await start([trigger("all", delay=0.3)], {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1)])
        await until(lambda: worker.got)
        await broker.publish([event(2), event(3)])
        await until(lambda: len(worker.got) == 4)
        assert worker.ids() == ["e-1", "e-2", "e-3", "e-1"]
        await until(lambda: broker.confirmed == 3)

    async def test_after_its_retries_an_event_goes_to_the_dead_letter_sink_of_its_trigger(self, start: Start) -> None:
        worker, letters = Recorder({"e-1": [503] * 3}), Recorder()
        triggers = [trigger("all", retry=2), trigger("done", type=DONE)]
        broker = await start(triggers, {"worker": worker, "dead-letter": letters})
        sent = event(1, queue="io")
        await broker.publish([sent, event(2, DONE)])
        await settled(broker, triggers, [sent, event(2, DONE)])
        await until(lambda: letters.got)
        assert worker.ids("all").count("e-1") == 3
        [(name, letter)] = letters.got
        assert name == "all"
        assert {key: letter.document.get(key) for key in sent.document} == sent.document
        assert letter.attribute("knativeerrorcode") == "503"
        assert (letter.attribute("knativeerrordest") or "").endswith("/triggers/all")
        assert letter.attribute("attempts") == "3"

    async def test_a_dead_letter_says_what_the_subscriber_said(self, start: Start) -> None:
        worker, letters = Recorder({"e-1": [RuntimeError("the disk\nis full")]}), Recorder()
        broker = await start([trigger("all", retry=0)], {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1)])
        await until(lambda: letters.got)
        said = base64.b64decode(letters.got[0][1].attribute("knativeerrordata") or "")
        assert b"the disk\nis full" in said

    async def test_a_dead_letter_is_kept_until_its_sink_takes_it(self, start: Start) -> None:
        worker, letters = Recorder({"e-1": [500]}), Recorder({"e-1": [503, RuntimeError("away"), 400]})
        triggers = [trigger("all", retry=0)]
        broker = await start(triggers, {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1), event(2)])
        await until(lambda: len(letters.got) == 4)
        await settled(broker, triggers, [event(1), event(2)])
        assert letters.ids() == ["e-1"] * 4

    async def test_what_is_for_an_absent_service_reaches_it_once_it_runs(self, start: Start) -> None:
        triggers = [trigger("all"), trigger("absent", service="nobody", type=DONE)]
        sent = [event(1), event(2, DONE), event(3)]
        worker, late = Recorder(), Recorder()
        broker = await start(triggers, {"worker": worker, "dead-letter": Recorder()})
        await broker.publish(sent)
        await until(lambda: set(worker.ids()) == {"e-1", "e-2", "e-3"} and broker.confirmed >= 1)
        await broker.stop()
        again = await start(triggers, {"worker": worker, "nobody": late, "dead-letter": Recorder()})
        await again.publish([each for each in sent if each.position > broker.confirmed])
        await until(lambda: "e-2" in late.ids())
        assert set(late.ids()) == {"e-2"}

    async def test_a_dead_letter_whose_sink_is_absent_reaches_it_once_it_runs(self, start: Start) -> None:
        triggers, sent = [trigger("all", retry=0)], [event(1), event(2), event(3)]
        worker, letters = Recorder({"e-2": [500] * 10}), Recorder()
        broker = await start(triggers, {"worker": worker})
        await broker.publish(sent)
        await until(lambda: len(worker.got) == 3 and broker.confirmed >= 1)
        await broker.stop()
        again = await start(triggers, {"worker": worker, "dead-letter": letters})
        await again.publish([each for each in sent if each.position > broker.confirmed])
        await until(lambda: "e-2" in letters.ids())
        assert set(letters.ids()) == {"e-2"}

    async def test_what_a_stop_cuts_off_is_delivered_after_the_next_start(self, start: Start) -> None:
        begun = asyncio.Event()

        async def hangs(_: str, events: Sequence[Event]) -> list[int]:
            begun.set()
            await asyncio.Event().wait()
            return []

        triggers, sent, worker = [trigger("all")], [event(n) for n in range(1, 6)], Recorder()
        broker = await start(triggers, {"worker": hangs, "dead-letter": Recorder()})
        await broker.publish(sent)
        await begun.wait()
        await broker.stop(grace_seconds=0.05)
        again = await start(triggers, {"worker": worker, "dead-letter": Recorder()})
        await again.publish([each for each in sent if each.position > broker.confirmed])
        await until(lambda: set(worker.ids()) == {each.id for each in sent})

    async def test_a_position_published_again_is_delivered_again(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)
        await broker.publish([event(2)])
        await until(lambda: worker.ids() == ["e-1", "e-2", "e-2"])
        await broker.publish([event(1), event(3)])
        await until(lambda: sorted(worker.ids()) == ["e-1", "e-1", "e-2", "e-2", "e-3"])
        await until(lambda: broker.confirmed == 3)

    async def test_one_trigger_is_reached_alone_once_and_its_answer_is_told(self, start: Start) -> None:
        worker = Recorder({"e-7": [503]})
        triggers = [trigger("all"), trigger("done", type=DONE)]
        broker = await start(triggers, {"worker": worker, "dead-letter": Recorder()})
        status, _ = await broker.deliver_alone("done", event(7))
        assert status == 503
        assert (await broker.deliver_alone("done", event(7)))[0] == 200
        assert [(name, got.id) for name, got in worker.got] == [("done", "e-7")] * 2
        with pytest.raises(NotFound):
            await broker.deliver_alone("gone", event(7))

    async def test_whatever_fails_every_event_ends_at_its_subscriber_or_at_the_dead_letters(self, start: Start) -> None:
        chance = random.Random(7)
        answers = [200, 200, 200, 400, 503, 404, 500]
        script = {f"e-{n}": [chance.choice(answers) for _ in range(chance.randint(0, 5))] for n in range(1, 201)}
        worker, letters = Recorder(script), Recorder({f"e-{n}": [503] for n in range(1, 201, 9)})
        triggers, sent = [trigger("all", retry=1, delay=0.001)], [event(n) for n in range(1, 201)]
        broker = await start(triggers, {"worker": worker, "dead-letter": letters})
        for first in range(0, 200, 20):
            await broker.publish(sent[first : first + 20])
        await settled(broker, triggers, sent, 30)
        await until(lambda: set(letters.ids()) == ends_in_dead_letters(script, tries=2))
        assert {name: worker.ids().count(name) for name in set(worker.ids())} == {
            each.id: deliveries(script.get(each.id, []), tries=2) for each in sent
        }

    async def test_the_scenario_that_all_brokers_share_delivers_the_same_sets(self, start: Start) -> None:
        worker, letters = Recorder(conformance.ANSWERS), Recorder(conformance.SINK_ANSWERS)
        broker = await start(conformance.TRIGGERS, {"worker": worker, "dead-letter": letters})
        events = conformance.events()
        for first in range(0, len(events), 4):
            await broker.publish(events[first : first + 4])
        await until(lambda: conformance.counts(worker.got) == conformance.COUNTS, 20)
        await until(lambda: set(conformance.counts(letters.got)) == conformance.DEAD_LETTERS, 20)
        await broker.publish(events[:1])  # a doorbell rung again is delivered again
        again = conformance.COUNTS | {("everything", events[0].source, "a"): 2, ("queue-io", events[0].source, "a"): 2}
        await until(lambda: conformance.counts(worker.got) == again)


def deliveries(answers: Sequence[int | Exception], *, tries: int) -> int:
    """How often an event is delivered that is answered so."""
    return min(next(n for n, answer in enumerate([*answers, 200], 1) if not _is_tried_again(answer)), tries)


def _is_tried_again(answer: int | Exception) -> bool:
    return isinstance(answer, Exception) or answer >= 500 or answer in (404, 408, 409, 429)


def ends_in_dead_letters(script: Mapping[str, Sequence[int | Exception]], *, tries: int) -> set[str]:
    return {name for name, answers in script.items() if len(answers) >= tries and all(map(_is_tried_again, answers[:tries]))}
