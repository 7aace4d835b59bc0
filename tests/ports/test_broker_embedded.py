"""The embedded broker: the behaviour of every broker, and what is its own."""

import asyncio
import gc
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.errors import BrokerUnavailable, StoreUnavailable
from contracts.event import Event
from eventing import codec
from eventing.broker import Subscriber
from eventing.brokers.embedded import EmbeddedBroker
from eventing.triggers import Delivery, Destination, Trigger
from tests.ports.broker_suite import DONE, BrokerSuite, Recorder, Start, event, trigger, until


class ManualTimer:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()
        self._cancelled: set[int] = set()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], Any]) -> "ManualHandle":
        number = next(self._numbers)
        heapq.heappush(self._calls, (self.now + delay, number, callback))
        return ManualHandle(self._cancelled, number)

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end + 1e-9:
            at, number, callback = heapq.heappop(self._calls)
            self.now = max(self.now, at)  # never early: a call finds its own time come
            if number not in self._cancelled:
                callback()
        self.now = max(self.now, end)
        await settle()


class RestlessTimer(ManualTimer):
    """Goes on by a microsecond whenever it is looked at, and calls one and a half early, as loops of coarse clocks do."""

    def time(self) -> float:
        self.now += 1e-6
        return self.now

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            at, number, callback = heapq.heappop(self._calls)
            self.now = max(self.now, at - 1.5e-6)
            if number not in self._cancelled:
                callback()
            await settle()
        self.now = max(self.now, end)


class ManualHandle:
    def __init__(self, cancelled: set[int], number: int) -> None:
        self._cancelled, self._number = cancelled, number

    def cancel(self) -> None:
        self._cancelled.add(self._number)


async def settle() -> None:
    """Lets everything run that does not wait for time."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(triggers: Sequence[Trigger], subscribers: Mapping[str, Subscriber], **options: Any) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(triggers, subscribers, **options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop(grace_seconds=0.1)


class TestEmbeddedBroker(BrokerSuite):
    @pytest.fixture
    async def start(self) -> AsyncIterator[Start]:
        started: list[EmbeddedBroker] = []

        async def start(triggers: Sequence[Trigger], subscribers: Mapping[str, Subscriber]) -> EmbeddedBroker:
            broker = EmbeddedBroker(triggers, subscribers)
            started.append(broker)
            await broker.start()
            return broker

        yield start
        for broker in started:
            await broker.stop(grace_seconds=0.1)


# `confirmed` is behind the deliveries, because nothing but this process holds the events


async def test_nothing_is_confirmed_while_it_waits_for_another_try():
    timer, worker = ManualTimer(), Recorder({"e-1": [503]})
    async with running([trigger("all", delay=1)], {"worker": worker, "dead-letter": Recorder()}, timer=timer) as broker:
        await broker.publish([event(1), event(2)])
        await settle()
        assert worker.ids() == ["e-1", "e-2"] and broker.confirmed == 0
        await timer.advance(2.0)
        assert broker.confirmed == 2


async def test_what_comes_due_between_two_looks_at_the_clock_is_not_forgotten():
    timer, worker = RestlessTimer(), Recorder({"e-1": [503, 503]})
    async with running([trigger("all", delay=1)], {"worker": worker, "dead-letter": Recorder()}, timer=timer) as broker:
        await broker.publish([event(1)])
        await settle()
        await timer.advance(10.0)
        assert worker.ids() == ["e-1"] * 3 and broker.confirmed == 1


async def test_nothing_is_confirmed_while_its_dead_letter_waits_for_the_sink():
    timer, letters = ManualTimer(), Recorder({"e-1": [503, RuntimeError("away")]})
    async with running([trigger("all", retry=0)], {"worker": Recorder({"e-1": [500]}), "dead-letter": letters}, timer=timer) as broker:
        await broker.publish([event(1), event(2)])
        await settle()
        for _ in range(2):
            assert broker.confirmed == 0
            await timer.advance(30.0)
        assert broker.confirmed == 2 and letters.ids() == ["e-1"] * 3


async def test_what_is_for_an_absent_service_is_never_confirmed_and_the_others_get_theirs():
    worker = Recorder()
    triggers = [trigger("all"), trigger("absent", service="nobody", type=DONE)]
    async with running(triggers, {"worker": worker, "dead-letter": Recorder()}) as broker:
        await broker.publish([event(1), event(2, DONE), event(3)])
        await until(lambda: worker.ids() == ["e-1", "e-2", "e-3"])
        await until(lambda: broker.confirmed == 1)
        await broker.publish([event(4)])
        await until(lambda: "e-4" in worker.ids())
        assert broker.confirmed == 1


async def test_a_dead_letter_without_a_running_sink_is_never_confirmed():
    worker = Recorder({"e-2": [500]})
    async with running([trigger("all", retry=0)], {"worker": worker}) as broker:
        await broker.publish([event(1), event(2), event(3)])
        await until(lambda: len(worker.got) == 3)
        await until(lambda: broker.confirmed == 1)


async def test_confirmed_never_passes_an_event_that_is_not_settled():
    open_gate = asyncio.Event()

    async def slow(_: str, events: Sequence[Event]) -> list[int]:
        await open_gate.wait()
        return [200] * len(events)

    quick = Recorder()
    async with running([trigger("slow", service="slow", type=DONE), trigger("all")], {"slow": slow, "worker": quick}) as broker:
        await broker.publish([event(1), event(2, DONE), event(3)])
        await until(lambda: len(quick.got) == 3)
        await until(lambda: broker.confirmed == 1)
        open_gate.set()
        await until(lambda: broker.confirmed == 3)


async def test_room_shrinks_while_events_wait_and_comes_back():
    open_gate = asyncio.Event()

    async def slow(_: str, events: Sequence[Event]) -> list[int]:
        await open_gate.wait()
        return [200] * len(events)

    async with running([trigger("slow", service="slow")], {"slow": slow, "dead-letter": Recorder()}) as broker:
        at_first = broker.room
        assert at_first > 0
        await broker.publish([event(n) for n in range(1, 11)])
        assert broker.room == at_first - 10
        open_gate.set()
        await until(lambda: broker.confirmed == 10)
        assert broker.room == at_first


async def test_events_published_before_the_start_are_not_taken():
    with pytest.raises(BrokerUnavailable):
        await EmbeddedBroker([], {}).publish([event(1)])


async def test_deliveries_are_batches_and_events_are_shared_not_copied():
    worker = Recorder()
    async with running([trigger("a"), trigger("b")], {"worker": worker, "dead-letter": Recorder()}, batch=500) as broker:
        events = [event(n) for n in range(1, 1201)]
        await broker.publish(events)
        await until(lambda: broker.confirmed == 1200)
    assert sorted(map(len, worker.batches)) == [200, 200, 500, 500, 500, 500]
    assert all(any(got is sent for sent in events[:3]) for _, got in worker.got if got.position <= 3)


async def test_a_retry_waits_as_the_trigger_says_and_then_its_dead_letter_follows_at_once():
    timer, worker, letters = ManualTimer(), Recorder({"e-1": [503] * 9}), Recorder()
    async with running([trigger("all", retry=3, delay=0.2)], {"worker": worker, "dead-letter": letters}, timer=timer) as broker:
        await broker.publish([event(1)])
        await settle()
        for wait in (0.4, 0.8, 1.6):
            before = len(worker.got)
            await timer.advance(wait - 0.01)
            assert len(worker.got) == before
            await timer.advance(0.01)
            assert len(worker.got) == before + 1
        assert letters.ids() == ["e-1"]
        assert broker.confirmed == 1


async def test_a_dead_letter_is_tried_again_for_ever_with_growing_pauses_of_at_most_30_s():
    timer, worker, letters = ManualTimer(), Recorder({"e-1": [503]}), Recorder({"e-1": [503] * 12})
    async with running([trigger("all", retry=0, delay=0)], {"worker": worker, "dead-letter": letters}, timer=timer) as broker:
        await broker.publish([event(1)])
        await settle()
        for _ in range(12):
            assert broker.confirmed == 0
            await timer.advance(30.0)
        assert len(letters.got) == 13 and broker.confirmed == 1
        assert broker.statistics["all"].dead_lettered == 1


async def test_events_that_failed_together_are_tried_again_together():
    timer, worker = ManualTimer(), Recorder({f"e-{n}": [503] for n in range(1, 101)})
    async with running([trigger("all", delay=1)], {"worker": worker, "dead-letter": Recorder()}, timer=timer) as broker:
        for n in range(1, 101):
            await broker.publish([event(n)])
            await settle()
        await timer.advance(2.0)
        assert broker.confirmed == 100
        assert len(worker.batches[-1]) == 100


async def test_the_statistics_say_what_became_of_each_event():
    script = {"e-1": [400], "e-2": [503], "e-3": [503] * 5, "e-4": [302]}
    worker = Recorder(script)
    async with running([trigger("all", retry=1)], {"worker": worker, "dead-letter": Recorder()}) as broker:
        await broker.publish([event(n) for n in range(1, 11)])
        await until(lambda: broker.confirmed == 10)
        seen = broker.statistics["all"]
        assert (seen.delivered, seen.retried, seen.dropped, seen.dead_lettered, seen.lost, seen.pending) == (7, 2, 2, 1, 0, 0)


async def test_without_any_declared_sink_an_event_is_lost_and_counted():
    async with running([trigger("all", retry=0, sink=False)], {"worker": Recorder({"e-1": [500]})}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert broker.statistics["all"].lost == 1


async def test_an_answer_of_the_wrong_length_is_a_failure():
    async def confused(_: str, events: Sequence[Event]) -> list[int]:
        return [200] * (len(events) + 1)

    letters = Recorder()
    async with running([trigger("all", retry=0)], {"worker": confused, "dead-letter": letters}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
    assert letters.got[0][1].attribute("knativeerrorcode") == "500"


async def test_a_subscriber_that_takes_longer_than_the_triggers_timeout_has_failed():
    async def hangs(_: str, events: Sequence[Event]) -> list[int]:
        await asyncio.Event().wait()
        return []

    letters = Recorder()
    delivery = Delivery(retry=0, timeout_seconds=0.02, dead_letter=Destination("dead-letter"))
    async with running([Trigger("slow", Destination("hangs"), {}, delivery)], {"hangs": hangs, "dead-letter": letters}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
    assert letters.ids() == ["e-1"]


async def test_a_subscriber_whose_own_task_is_cancelled_has_failed_and_the_broker_lives():
    async def cancelled(_: str, events: Sequence[Event]) -> list[int]:
        raise asyncio.CancelledError

    letters = Recorder()
    async with running([trigger("all", retry=0)], {"worker": cancelled, "dead-letter": letters}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
    assert letters.ids() == ["e-1"]


async def test_more_events_than_there_is_room_for_are_refused_and_none_is_taken():
    gate, told = asyncio.Event(), []

    async def slow(_: str, events: Sequence[Event]) -> list[int]:
        await gate.wait()
        return [200] * len(events)

    async with running([trigger("slow", service="slow")], {"slow": slow}, max_pending=10) as broker:
        broker.on_confirmed(lambda: told.append(broker.room))
        with pytest.raises(BrokerUnavailable, match="room for 10 more"):
            await broker.publish([event(n) for n in range(1, 12)])
        await broker.publish([event(n) for n in range(1, 11)])
        assert broker.room == 0
        with pytest.raises(BrokerUnavailable):
            await broker.publish([event(11)])
        gate.set()
        await until(lambda: broker.room == 10)
        assert told and broker.confirmed == 10


async def test_room_that_comes_back_is_told_even_when_nothing_was_confirmed():
    gate, told = asyncio.Event(), asyncio.Event()

    async def stuck_at_first(_: str, events: Sequence[Event]) -> list[int]:
        if events[0].id != "e-1":
            await gate.wait()
        return [503 if each.id == "e-1" else 200 for each in events]

    async with running([trigger("t", service="s", delay=60)], {"s": stuck_at_first}, max_pending=3, batch=1) as broker:
        await broker.publish([event(1), event(2), event(3)])
        assert broker.room == 0
        broker.on_confirmed(told.set)
        gate.set()
        await asyncio.wait_for(told.wait(), 5)
        assert broker.room > 0 and broker.confirmed == 0


async def test_absent_triggers_can_be_passed_over():
    triggers = [trigger("all"), trigger("absent", service="nobody")]
    async with running(triggers, {"worker": Recorder(), "dead-letter": Recorder()}, skip_absent=True) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
        assert set(broker.statistics) == {"all"}


async def test_stop_lets_the_delivery_under_way_end_and_leaves_the_rest_unconfirmed():
    begun, gate = asyncio.Event(), asyncio.Event()
    taken: list[str] = []

    async def slow(_: str, events: Sequence[Event]) -> list[int]:
        begun.set()
        await gate.wait()
        taken.extend(each.id for each in events)
        return [200] * len(events)

    broker = EmbeddedBroker([trigger("slow", service="slow")], {"slow": slow}, batch=2)
    await broker.start()
    await broker.publish([event(n) for n in range(1, 7)])
    await begun.wait()
    stopping = asyncio.create_task(broker.stop(grace_seconds=5))
    await settle()
    gate.set()
    await stopping
    assert taken == ["e-1", "e-2"] and broker.confirmed == 2


async def test_stop_cuts_off_what_does_not_end_within_the_grace():
    async def hangs(_: str, events: Sequence[Event]) -> list[int]:
        await asyncio.Event().wait()
        return []

    broker = EmbeddedBroker([trigger("all")], {"worker": hangs})
    await broker.start()
    await broker.publish([event(1)])
    await settle()
    await broker.stop(grace_seconds=0.01)
    assert broker.confirmed == 0
    assert len(asyncio.all_tasks()) == 1


async def test_many_different_values_of_a_filtered_attribute_do_not_pile_up():
    worker = Recorder()
    async with running([trigger("one", subject="s-5")], {"worker": worker, "dead-letter": Recorder()}) as broker:
        for first in range(1, 20_001, 5000):
            await broker.publish([event(n, subject=f"s-{n}") for n in range(first, first + 5000)])
        await until(lambda: broker.confirmed == 20_000)
        assert worker.ids() == ["e-5"]
        assert len(broker._routes) <= 4096


async def test_nothing_is_kept_of_events_that_were_delivered():
    async with running([trigger("all"), trigger("done", type=DONE)], {"worker": _take, "dead-letter": _take}) as broker:
        for first in range(1, 20_001, 500):
            await broker.publish([event(n) for n in range(first, first + 500)])
            await until(lambda reached=first + 499: broker.confirmed == reached)
        gc.collect()
        assert sum(isinstance(thing, Event) for thing in gc.get_objects()) < 1000


async def _take(_: str, events: Sequence[Event]) -> list[int]:
    return [200] * len(events)


# Webhooks: a Trigger whose subscriber is a URL


class WebhookServer:
    """A small HTTP server that decodes strictly and answers by a script, event id -> statuses."""

    def __init__(self, script: Mapping[str, Sequence[int]] | None = None, body: bytes = b"", delay: float = 0.0) -> None:
        self.script = {name: list(answers) for name, answers in (script or {}).items()}
        self.body, self.delay = body, delay
        self.got: list[Event] = []
        self.paths: list[str] = []
        self.most_at_once = self._at_once = 0

    async def __aenter__(self) -> "WebhookServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?key=1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.split(b"\r\n")
                headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:] if line)]
                length = next((int(value) for name, value in headers if name.lower() == b"content-length"), 0)
                self.paths.append(lines[0].decode())
                writer.write(await self._answer(headers, await reader.readexactly(length)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, headers: list[tuple[bytes, bytes]], content: bytes) -> bytes:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self.delay)
        self._at_once -= 1
        [received] = codec.decode(headers, content)
        self.got.append(received)
        answers = self.script.get(received.id)
        status = answers.pop(0) if answers else 204
        body = b"" if status == 204 else self.body
        location = b"location: http://127.0.0.1:1/elsewhere\r\n" if status == 302 else b""
        return b"HTTP/1.1 %d x\r\n%scontent-length: %d\r\n\r\n%s" % (status, location, len(body), body)


def webhook(
    url: str, *, retry: int = 2, parallelism: int = 1, timeout: float | None = None, delay: float = 0.005, **attributes: str
) -> Trigger:
    delivery = Delivery(retry, "exponential", delay, timeout, Destination("dead-letter", "/triggers/hook"))
    return Trigger("hook", Destination(url=url), attributes, delivery, parallelism)


async def test_a_webhook_gets_each_event_as_one_binary_post():
    async with WebhookServer() as server, running([webhook(server.url)], {"dead-letter": Recorder()}) as broker:
        sent = [event(n, subject="ü 100%", queue="io") for n in range(1, 6)]
        await broker.publish(sent)
        await until(lambda: broker.confirmed == 5)
        assert server.got == sent
        assert server.paths == ["POST /hook?key=1 HTTP/1.1"] * 5


async def test_a_webhook_is_judged_by_its_status_and_its_dead_letter_holds_its_words():
    letters = Recorder()
    script = {"e-1": [503, 200], "e-2": [500, 500, 500], "e-3": [422], "e-4": [302]}
    async with WebhookServer(script, body=b"\x00no" * 1000) as server, running([webhook(server.url)], {"dead-letter": letters}) as broker:
        await broker.publish([event(n) for n in range(1, 6)])
        await until(lambda: broker.confirmed == 5)
        seen = broker.statistics["hook"]
        assert (seen.delivered, seen.dropped, seen.dead_lettered) == (2, 2, 1)
        [(_, letter)] = letters.got
        assert letter.attribute("knativeerrorcode") == "500"
        assert letter.attribute("knativeerrordest") == server.url
        assert len(letter.attribute("knativeerrordata") or "") == 1024


async def test_a_webhook_that_is_away_is_tried_again_and_then_dead_lettered_with_code_minus_1():
    letters = Recorder()
    async with WebhookServer() as server:
        url = server.url
    async with running([webhook(url, retry=1)], {"dead-letter": letters}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
    [(_, letter)] = letters.got
    assert (letter.attribute("knativeerrorcode"), letter.attribute("attempts")) == ("-1", "2")
    assert letter.attribute("knativeerrordata")


async def test_a_webhook_that_does_not_answer_in_time_is_tried_again():
    letters = Recorder()
    async with WebhookServer(delay=5) as server, running([webhook(server.url, retry=0, timeout=0.05)], {"dead-letter": letters}) as broker:
        await broker.publish([event(1)])
        await until(lambda: broker.confirmed == 1)
    assert letters.got[0][1].attribute("knativeerrorcode") == "-1"


async def test_posts_run_side_by_side_as_far_as_the_trigger_allows():
    async with WebhookServer(delay=0.01) as server, running([webhook(server.url, parallelism=4)], {"dead-letter": Recorder()}) as broker:
        await broker.publish([event(n) for n in range(1, 41)])
        await until(lambda: broker.confirmed == 40)
        assert server.most_at_once == 4


async def test_an_event_that_cannot_be_sent_is_a_dead_letter():
    letters = Recorder()
    async with WebhookServer() as server, running([webhook(server.url, retry=0)], {"dead-letter": letters}) as broker:
        odd = Event({**event(1).document, "datacontenttype": "text/plain; charset=klingon", "data": "x"})
        await broker.publish([odd])
        await until(lambda: broker.confirmed == 1)
    assert letters.ids() == ["e-1"]


# Overflow: what a slow URL cannot take now is read from the feed later


def feed_of(events: Sequence[Event], faults: list[Exception] | None = None):
    async def feed(after: int, limit: int) -> list[Event]:
        await asyncio.sleep(0)
        if faults:
            raise faults.pop(0)
        return [each for each in events if each.position > after][:limit]

    return feed


async def test_a_slow_webhook_neither_takes_the_room_of_the_others_nor_misses_an_event():
    events = [event(n, queue="io" if n % 3 else "bulk") for n in range(1, 1501)]
    worker = Recorder()
    async with (
        WebhookServer() as server,
        running(
            [webhook(server.url, queue="io"), trigger("all")],
            {"worker": worker, "dead-letter": Recorder()},
            max_pending=50,
            feed=feed_of(events),
        ) as broker,
    ):
        for first in range(0, 1500, 50):
            await broker.publish(events[first : first + 50])
            await until(lambda upto=first + 50: len(worker.got) == upto)
            assert broker.room == 50
            assert broker.statistics["hook"].pending <= 50 + 500
        assert broker.confirmed < 1500
        await until(lambda: broker.confirmed == 1500, 30)
        assert [got.id for got in server.got] == [each.id for each in events if each.attribute("queue") == "io"]


async def test_a_feed_that_is_away_is_read_again_after_a_pause():
    events = [event(n) for n in range(1, 31)]
    timer = ManualTimer()
    feed = feed_of(events, [StoreUnavailable(), StoreUnavailable()])
    async with (
        WebhookServer() as server,
        running([webhook(server.url)], {"dead-letter": Recorder()}, max_pending=10, feed=feed, timer=timer) as broker,
    ):
        for first in (0, 10, 20):  # the first ten fill the bound, the others are left to the feed
            await broker.publish(events[first : first + 10])
        await until(lambda: broker.confirmed == 10)
        for _ in range(2):
            await timer.advance(1.0)
        await until(lambda: broker.confirmed == 30)
        assert [got.id for got in server.got] == [each.id for each in events]


async def test_what_retention_took_out_of_the_feed_holds_nobody_up():
    events = [event(n) for n in range(1, 31)]
    async with (
        WebhookServer() as server,
        running([webhook(server.url)], {"dead-letter": Recorder()}, max_pending=10, feed=feed_of([])) as broker,
    ):
        for first in (0, 10, 20):  # the first ten fill the bound, the others are left to the feed
            await broker.publish(events[first : first + 10])
        await until(lambda: broker.confirmed == 30)
        assert len(server.got) == 10
