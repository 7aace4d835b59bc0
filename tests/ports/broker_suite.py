"""What every Broker does. An adapter's test inherits BrokerSuite and says how to start that broker."""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from contracts.errors import BrokerUnavailable, StoreUnavailable
from contracts.event import Event
from eventing.broker import Broker, Subscriber
from eventing.triggers import Delivery, Destination, Trigger

Start = Callable[[Sequence[Trigger], Mapping[str, Subscriber]], Awaitable[Broker]]

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
    """A subscriber that keeps what it got and answers by a script: event id -> statuses, one a delivery, then 200."""

    def __init__(self, script: Mapping[str, Sequence[int | Exception]] | None = None) -> None:
        self.script = {name: list(answers) for name, answers in (script or {}).items()}
        self.got: list[tuple[str, Event]] = []
        self.batches: list[list[str]] = []

    async def __call__(self, trigger: str, events: Sequence[Event]) -> list[int]:
        self.got += [(trigger, each) for each in events]
        self.batches.append([each.id for each in events])
        return [self._answer(each) for each in events]

    def _answer(self, each: Event) -> int:
        answers = self.script.get(each.id)
        answer = answers.pop(0) if answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ids(self, trigger: str | None = None) -> list[str]:
        return [each.id for name, each in self.got if trigger in (None, name)]


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.002)


class BrokerSuite:
    """One behaviour, whatever carries the events."""

    @pytest.fixture
    def start(self) -> Start:
        raise NotImplementedError("start a broker with these Triggers and subscribers; stop it after the test")

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
        await until(lambda: broker.confirmed == 7)
        expected = {(each.name, sent.id) for each in triggers for sent in events if each.matches(sent)}
        assert {(name, got.id) for name, got in worker.got} == expected
        assert len(worker.got) == len(expected) == 5 + 2 + 7 - 0 - 0 or len(worker.got) == len(expected)
        assert letters.got == []

    async def test_an_event_arrives_as_it_was_sent(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        sent = event(1, subject="Euro € 😀 100%", actor="a b", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        await broker.publish([sent])
        await until(lambda: worker.got)
        assert worker.got[0][1] == sent

    async def test_events_that_match_nothing_are_confirmed(self, start: Start) -> None:
        broker = await start([trigger("done", type=DONE)], {"worker": Recorder(), "dead-letter": Recorder()})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)

    async def test_a_trigger_gets_its_events_in_the_order_of_the_feed(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        for first in range(1, 1201, 100):
            await broker.publish([event(n) for n in range(first, first + 100)])
        await until(lambda: broker.confirmed == 1200)
        assert worker.ids() == [f"e-{n}" for n in range(1, 1201)]

    @pytest.mark.parametrize("status", [201, 202, 204])
    async def test_any_2xx_takes_the_event(self, start: Start, status: int) -> None:
        worker, letters = Recorder({"e-1": [status]}), Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert worker.ids() == ["e-1"] and letters.got == []

    @pytest.mark.parametrize("status", [301, 304, 400, 401, 403, 405, 410, 413, 415, 422, 451])
    async def test_a_3xx_and_most_4xx_count_as_delivered(self, start: Start, status: int) -> None:
        worker, letters = Recorder({"e-1": [status]}), Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)
        assert worker.ids() == ["e-1", "e-2"] and letters.got == []

    @pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 501, 502, 503, 504, 599])
    async def test_a_5xx_and_four_4xx_are_tried_again(self, start: Start, status: int) -> None:
        worker, letters = Recorder({"e-1": [status, status]}), Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert worker.ids() == ["e-1", "e-1", "e-1"] and letters.got == []

    async def test_a_subscriber_that_raises_is_tried_again(self, start: Start) -> None:
        worker = Recorder({"e-1": [RuntimeError("out of order"), StoreUnavailable()]})
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert worker.ids() == ["e-1", "e-1", "e-1"]

    async def test_an_event_that_fails_does_not_hold_up_the_others(self, start: Start) -> None:
        worker = Recorder({"e-1": [503]})
        broker = await start([trigger("all", delay=0.3)], {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1)])
        await until(lambda: worker.got)
        await broker.publish([event(2), event(3)])
        await until(lambda: len(worker.got) >= 3)
        assert worker.ids() == ["e-1", "e-2", "e-3"]
        assert broker.confirmed == 0
        await until(lambda: broker.confirmed == 3)
        assert worker.ids() == ["e-1", "e-2", "e-3", "e-1"]

    async def test_after_its_retries_an_event_goes_to_the_dead_letter_sink_of_its_trigger(self, start: Start) -> None:
        worker, letters = Recorder({"e-1": [503] * 3}), Recorder()
        broker = await start([trigger("all", retry=2), trigger("done", type=DONE)], {"worker": worker, "dead-letter": letters})
        sent = event(1, queue="io")
        await broker.publish([sent, event(2, DONE)])
        await until(lambda: broker.confirmed == 2)
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
        await until(lambda: broker.confirmed == 1)
        said = base64.b64decode(letters.got[0][1].attribute("knativeerrordata") or "")
        assert b"the disk\nis full" in said

    async def test_a_dead_letter_is_kept_until_its_sink_takes_it(self, start: Start) -> None:
        worker, letters = Recorder({"e-1": [500]}), Recorder({"e-1": [503, RuntimeError("away"), 400]})
        broker = await start([trigger("all", retry=0)], {"worker": worker, "dead-letter": letters})
        await broker.publish([event(1), event(2)])
        await until(lambda: len(letters.got) == 3)
        assert broker.confirmed == 0
        await until(lambda: broker.confirmed == 2)
        assert letters.ids() == ["e-1"] * 4

    async def test_what_is_for_an_absent_service_is_never_confirmed_and_the_others_get_theirs(self, start: Start) -> None:
        worker = Recorder()
        broker = await start(
            [trigger("all"), trigger("absent", service="nobody", type=DONE)], {"worker": worker, "dead-letter": Recorder()}
        )
        await broker.publish([event(1), event(2, DONE), event(3)])
        await until(lambda: worker.ids() == ["e-1", "e-2", "e-3"])
        await until(lambda: broker.confirmed == 1)
        await broker.publish([event(4)])
        await until(lambda: "e-4" in worker.ids())
        assert broker.confirmed == 1

    async def test_a_dead_letter_without_a_running_sink_is_never_confirmed(self, start: Start) -> None:
        worker = Recorder({"e-2": [500]})
        broker = await start([trigger("all", retry=0)], {"worker": worker})
        await broker.publish([event(1), event(2), event(3)])
        await until(lambda: len(worker.got) == 3)
        await until(lambda: broker.confirmed == 1)

    async def test_confirmed_never_passes_an_event_that_is_not_settled(self, start: Start) -> None:
        open_gate = asyncio.Event()

        async def slow(_: str, events: Sequence[Event]) -> list[int]:
            await open_gate.wait()
            return [200] * len(events)

        quick = Recorder()
        broker = await start([trigger("slow", service="slow", type=DONE), trigger("all")], {"slow": slow, "worker": quick})
        await broker.publish([event(1), event(2, DONE), event(3)])
        await until(lambda: len(quick.got) == 3)
        await until(lambda: broker.confirmed == 1)
        open_gate.set()
        await until(lambda: broker.confirmed == 3)

    async def test_confirmed_only_grows_and_each_growth_is_told(self, start: Start) -> None:
        worker = Recorder({f"e-{n}": [503] for n in range(1, 40, 3)})
        broker = await start([trigger("all"), trigger("io", queue="io")], {"worker": worker, "dead-letter": Recorder()})
        seen: list[int] = []
        broker.on_confirmed(lambda: seen.append(broker.confirmed))
        for n in range(1, 41):
            await broker.publish([event(n, queue=random.choice(["io", "bulk"]))])
        await until(lambda: broker.confirmed == 40)
        assert seen == sorted(seen) and seen[-1] == 40

    async def test_a_position_published_again_is_delivered_again_and_unconfirms_nothing(self, start: Start) -> None:
        worker = Recorder()
        broker = await start([trigger("all")], {"worker": worker, "dead-letter": Recorder()})
        await broker.publish([event(1), event(2)])
        await until(lambda: broker.confirmed == 2)
        await broker.publish([event(2)])
        await until(lambda: worker.ids() == ["e-1", "e-2", "e-2"])
        await broker.publish([event(1), event(3)])
        await until(lambda: broker.confirmed == 3)
        await until(lambda: sorted(worker.ids()) == ["e-1", "e-1", "e-2", "e-2", "e-3"])

    async def test_room_shrinks_while_events_wait_and_comes_back(self, start: Start) -> None:
        open_gate = asyncio.Event()

        async def slow(_: str, events: Sequence[Event]) -> list[int]:
            await open_gate.wait()
            return [200] * len(events)

        broker = await start([trigger("slow", service="slow")], {"slow": slow, "dead-letter": Recorder()})
        at_first = broker.room
        assert at_first > 0
        await broker.publish([event(n) for n in range(1, 11)])
        assert broker.room == at_first - 10
        open_gate.set()
        await until(lambda: broker.confirmed == 10)
        assert broker.room == at_first

    async def test_a_stopped_broker_takes_nothing(self, start: Start) -> None:
        broker = await start([trigger("all")], {"worker": Recorder(), "dead-letter": Recorder()})
        await broker.stop()
        with pytest.raises(BrokerUnavailable):
            await broker.publish([event(1)])

    async def test_whatever_fails_every_event_ends_at_its_subscriber_or_at_the_dead_letters(self, start: Start) -> None:
        chance = random.Random(7)
        answers = [200, 200, 200, 400, 503, 404, RuntimeError("no")]
        script = {f"e-{n}": [chance.choice(answers) for _ in range(chance.randint(0, 5))] for n in range(1, 201)}
        worker, letters = Recorder(script), Recorder({f"e-{n}": [503] for n in range(1, 201, 9)})
        broker = await start([trigger("all", retry=1, delay=0.001)], {"worker": worker, "dead-letter": letters})
        for first in range(1, 201, 20):
            await broker.publish([event(n) for n in range(first, first + 20)])
        await until(lambda: broker.confirmed == 200, 30)
        assert set(worker.ids()) == {f"e-{n}" for n in range(1, 201)}
        assert letters.got
