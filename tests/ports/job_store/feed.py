"""The feed and its readers; lists and their pages."""

import asyncio
import random

import pytest

from contracts.errors import JobNotFound, MalformedRequest, NotFound, StoreUnavailable
from contracts.event import Event
from contracts.query import EVERYTHING
from functions.stores.job_store import DeadLetter, JobStore, Refusal
from tests.ports.job_store.steps import SECOND, Laboratory, all_taken, claimed, ended, failed, one, request, run, running, short, states, submitted, whole_feed


class TheFeed:
    async def test_positions_follow_one_another_without_a_gap(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(10)])
        await run(store, limit=10)
        events = await whole_feed(store, page=7)
        assert [event.position for event in events] == list(range(1, len(events) + 1))
        assert await store.head() == len(events)

    async def test_a_reader_beside_writers_skips_and_repeats_nothing(self, store: JobStore) -> None:
        seen: list[Event] = []
        writing = True

        async def read() -> None:
            while writing or seen[-1].position < await store.head():
                seen.extend(await store.feed(seen[-1].position if seen else 0, 13))
                await asyncio.sleep(0)

        async def write(seed: int) -> None:
            for _ in range(20):
                await store.submit([request() for _ in range(random.Random(seed).randint(1, 5))])
                await run(store, limit=2)

        reader = asyncio.create_task(read())
        await asyncio.gather(*(write(seed) for seed in range(4)))
        writing = False
        await reader
        assert [event.position for event in seen] == list(range(1, await store.head() + 1))

    async def test_listeners_get_every_event_in_order_before_its_writer_goes_on(self, store: JobStore) -> None:
        heard: list[Event] = []
        store.on_committed(heard.extend)
        before = await store.head()

        async def write() -> None:
            for _ in range(10):
                job_id = await one(store)
                assert f"job/{job_id}" in {event.subject for event in heard}

        await asyncio.gather(*(write() for _ in range(5)))
        assert heard == (await whole_feed(store))[before:]

    async def test_those_who_read_for_themselves_hear_that_there_is_something_before_its_writer_goes_on(self, store: JobStore) -> None:
        heard: list[None] = []
        store.on_moved(lambda: heard.append(None))
        await one(store)
        assert len(heard) == 1
        with pytest.raises(MalformedRequest):
            await store.jobs(EVERYTHING, 1, "x")
        assert len(heard) == 1

    async def test_a_stream_is_read_from_any_sequence(self, store: JobStore) -> None:
        job_id = await failed(store)
        stream = f"job/{job_id}"
        assert [short(event) for event in await store.events_of(stream)] == ["accepted", "queued", "started", "failed"]
        assert [short(event) for event in await store.events_of(stream, 2)] == ["started", "failed"]
        assert [short(event) for event in await store.events_of(stream, 1, 2)] == ["queued", "started"]
        assert await store.events_of("job/nowhere") == []

    async def test_recent_events_come_newest_first_in_pages(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(5)])
        events = list(reversed(await whole_feed(store)))
        first = await store.recent_events(4, None, None)
        second = await store.recent_events(100, first[-1].position, None)
        assert first + second == events
        accepted = await store.recent_events(100, None, "dev.observatory.job.accepted.v1")
        assert [short(event) for event in accepted] == ["accepted"] * 5

    async def test_events_are_found_by_type_and_stream_in_pages(self, store: JobStore) -> None:
        ids = await submitted(store, *[request() for _ in range(5)])
        await run(store)
        types = ["dev.observatory.job.accepted.v1", "dev.observatory.job.started.v1"]
        found: list[Event] = []
        before: int | None = None
        while True:
            page = await store.find_events(types, None, 2, before)
            found += page.items
            if page.next_cursor is None:
                break
            before = int(page.next_cursor)
        assert found == [event for event in reversed(await whole_feed(store)) if event.type in types]
        assert len(found) == 6
        page = await store.find_events([], f"job/{ids[0]}", 10, None)
        assert [short(event) for event in page.items] == ["succeeded", "started", "queued", "accepted"]
        assert page.next_cursor is None

    async def test_of_a_whole_feed_nothing_was_dropped(self, store: JobStore) -> None:
        await one(store)
        assert await store.dropped() == 0

    async def test_a_cursor_moves_forward_and_never_back(self, store: JobStore) -> None:
        await store.advance("reader", 5)
        await store.advance("reader", 3)
        await store.advance("other", 1)
        cursors = await store.cursors()
        assert (cursors["reader"], cursors["other"]) == (5, 1)
        await store.set_back("reader", 4)
        await store.set_back("other", 6)
        await store.set_back("new", 2)
        cursors = await store.cursors()
        assert (cursors["reader"], cursors["other"], cursors["new"]) == (4, 1, 2)
        await store.advance("reader", 5)
        await store.forget_cursor("other")
        await store.forget_cursor("never there")
        assert (await store.cursors())["reader"] == 5
        assert "other" not in await store.cursors()
        await asyncio.gather(*(store.advance("reader", n) for n in (9, 7, 12, 11)))
        assert (await store.cursors())["reader"] == 12

    async def test_every_event_names_the_deployment_as_its_source(self, store: JobStore) -> None:
        await one(store)
        assert store.source.startswith("urn:observatory:")
        assert {event.source for event in await whole_feed(store)} == {store.source}


class Lists:
    async def test_jobs_are_listed_newest_first(self, store: JobStore) -> None:
        ids = await submitted(store, *[request() for _ in range(5)])
        page = await store.jobs(EVERYTHING, 10, None)
        assert [job.id for job in page.items] == ids[::-1]
        assert page.next_cursor is None

    async def test_pages_neither_skip_nor_repeat_while_jobs_arrive(self, store: JobStore) -> None:
        ids = await submitted(store, *[request(payload={"n": n}) for n in range(23)])
        found, cursor = [], None
        while True:
            page = await store.jobs(EVERYTHING, 5, cursor)
            found += [job.id for job in page.items]
            await submitted(store, *[request() for _ in range(3)])
            await run(store, limit=2)
            if (cursor := page.next_cursor) is None:
                break
        assert found == ids[::-1]

    async def test_the_last_page_is_known_as_such(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(6)])
        page = await store.jobs(EVERYTHING, 3, None)
        assert page.next_cursor is not None
        assert (await store.jobs(EVERYTHING, 3, page.next_cursor)).next_cursor is None

    @pytest.mark.parametrize("cursor", ["", "x", "%%%", "ä", "LTE", "MS41", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
    async def test_a_cursor_that_no_list_answered_is_refused(self, store: JobStore, cursor: str) -> None:
        with pytest.raises(MalformedRequest):
            await store.jobs(EVERYTHING, 5, cursor)

    async def test_an_unknown_job_is_not_found(self, store: JobStore) -> None:
        for job_id in ("00000000-0000-7000-8000-000000000000", "", "' OR 1"):
            with pytest.raises(JobNotFound):
                await store.job(job_id)
            with pytest.raises(JobNotFound):
                await store.attempts(job_id)

    async def test_counts_are_by_queue_type_and_state(self, store: JobStore) -> None:
        await run_in(store, "bulk")
        await submitted(store, request(), request(), request("demo.fail"))
        assert await store.counts() == {("bulk", "demo.noop", "succeeded"): 1, ("default", "demo.noop", "queued"): 2, ("default", "demo.fail", "queued"): 1}


async def run_in(store: JobStore, queue: str):  # type: ignore[no-untyped-def]
    job = await running(store, queue=queue)
    await ended(store, job)
    return job


def letter(number: int = 1, **parts: object) -> DeadLetter:
    values = {
        "id": f"{number:08d}-0000-7000-8000-000000000000",
        "trigger": "metrics-engine",
        "source": "urn:client",
        "event_id": str(number),
        "event_type": "a.b",
        "reason": "no",
        "attempts": 1,
        "content_type": "application/json",
        "body": b"\x00\xff{",
        "headers": {"ce-id": "1"},
        "kept_at": 1_795_000_000_000_000,
    }
    return DeadLetter(**(values | parts))  # type: ignore[arg-type]


class DeadLetters:
    async def test_a_dead_letter_is_kept_byte_for_byte(self, store: JobStore) -> None:
        await store.keep_dead_letter(letter())
        assert await store.dead_letter(letter().id) == letter()

    async def test_a_dead_letter_is_no_event(self, store: JobStore) -> None:
        head = await store.head()
        await store.keep_dead_letter(letter())
        assert await store.head() == head

    async def test_the_same_event_kept_again_adds_its_attempts(self, store: JobStore) -> None:
        await asyncio.gather(*(store.keep_dead_letter(letter(1, id=f"{n:08d}-0000-7000-8000-000000000000", attempts=2)) for n in range(1, 6)))
        page = await store.dead_letters(10, None, None)
        assert [(kept.event_id, kept.attempts) for kept in page.items] == [("1", 10)]

    async def test_one_event_may_be_dead_for_two_triggers(self, store: JobStore) -> None:
        await store.keep_dead_letter(letter(1))
        await store.keep_dead_letter(letter(2, event_id="1", trigger="another"))
        assert len((await store.dead_letters(10, None, None)).items) == 2

    async def test_dead_letters_are_listed_newest_first_in_pages(self, store: JobStore) -> None:
        for number in range(1, 8):
            await store.keep_dead_letter(letter(number))
        found, cursor = [], None
        while True:
            page = await store.dead_letters(3, cursor, "kept")
            found += [kept.event_id for kept in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert found == ["7", "6", "5", "4", "3", "2", "1"]
        assert (await store.dead_letters(3, None, "replayed")).items == []

    async def test_dead_letters_are_counted_by_status(self, store: JobStore) -> None:
        assert await store.dead_letter_counts() == {}
        for number in (1, 2):
            await store.keep_dead_letter(letter(number))
        assert await store.dead_letter_counts() == {"kept": 2}

    async def test_a_dead_letter_is_found_by_what_could_not_be_handled(self, store: JobStore) -> None:
        await store.keep_dead_letter(letter())
        found = await store.dead_letter_of(letter().trigger, letter().source, letter().event_id)
        assert found == letter()
        assert await store.dead_letter_of("another", letter().source, letter().event_id) is None

    async def test_what_became_of_a_dead_letter_is_an_event_of_its_stream_in_the_same_commit(self, store: JobStore) -> None:
        await store.keep_dead_letter(letter())
        about = {"id": letter().id, "trigger": letter().trigger, "event_source": letter().source, "event_id": letter().event_id,
                 "event_type": letter().event_type}  # fmt: skip
        tried = about | {"reason": None, "edited": False, "replayed_id": "1", "status": 503, "detail": "away", "outcome": "failed"}
        await store.tell_of_dead_letter(letter().id, "replayed", tried, "eva")
        assert ((kept := await store.dead_letter(letter().id)).status, kept.outcome) == ("kept", "failed (503): away")
        await store.tell_of_dead_letter(letter().id, "replayed", tried | {"status": None}, "eva")
        assert ((kept := await store.dead_letter(letter().id)).status, kept.outcome) == ("kept", "failed (no answer): away")
        await store.tell_of_dead_letter(letter().id, "replayed", tried | {"status": 200, "detail": None, "outcome": "delivered"}, "eva")
        assert ((kept := await store.dead_letter(letter().id)).status, kept.outcome) == ("replayed", "delivered (200)")
        await store.tell_of_dead_letter(letter().id, "discarded", about | {"reason": "a test"}, "eva")
        assert ((kept := await store.dead_letter(letter().id)).status, kept.outcome) == ("discarded", "a test")
        events = await store.events_of(f"deadletter/{letter().id}")
        assert [(event.attribute("sequence"), event.type.split(".")[-2], event.attribute("actor")) for event in events] == [
            ("1", "replayed", "eva"), ("2", "replayed", "eva"), ("3", "replayed", "eva"), ("4", "discarded", "eva")]  # fmt: skip

    async def test_a_letter_that_dies_again_is_kept_again_but_not_once_it_was_discarded(self, store: JobStore) -> None:
        await store.keep_dead_letter(letter())
        about = {"id": letter().id, "trigger": letter().trigger, "event_source": letter().source, "event_id": letter().event_id,
                 "event_type": letter().event_type}  # fmt: skip
        sent = about | {"reason": None, "edited": False, "replayed_id": "1", "status": 200, "detail": None, "outcome": "delivered"}
        await store.tell_of_dead_letter(letter().id, "replayed", sent, "eva")
        await store.keep_dead_letter(letter())
        assert ((same := await store.dead_letter(letter().id)).status, same.attempts) == ("replayed", 1)  # the same letter, sent twice
        again = letter(id=letter(2).id)
        await store.keep_dead_letter(again)
        assert ((died := await store.dead_letter(letter().id)).status, died.attempts) == ("kept", 2)
        await store.tell_of_dead_letter(letter().id, "discarded", about | {"reason": "enough"}, "eva")
        await store.keep_dead_letter(again)
        assert (await store.dead_letter(letter().id)).status == "discarded"

    async def test_a_doorbell_whose_reader_has_passed_it_is_resolved_and_nothing_else(self, store: JobStore) -> None:
        away = {"trigger": "metrics-engine", "reason": "the subscriber answered 503: away"}
        await store.keep_dead_letter(letter(1, position=5, **away))
        await store.keep_dead_letter(letter(2, position=7, **away))
        await store.keep_dead_letter(letter(3, position=4, **{**away, "reason": "contract-violation: no"}))
        await store.keep_dead_letter(letter(4, position=4, **{**away, "trigger": "webhook"}))
        await store.keep_dead_letter(letter(5, **away))
        assert await store.resolve_dead_letters(["metrics-engine"], 6, []) == 1
        assert [(await store.dead_letter(letter(n).id)).status for n in range(1, 6)] == ["resolved", "kept", "kept", "kept", "kept"]

    async def test_a_doorbell_for_a_job_that_is_queued_no_more_is_resolved(self, store: JobStore) -> None:
        first, second = await submitted(store, request(), request())
        for number, job_id in enumerate((first, second), 1):
            await store.keep_dead_letter(letter(number, trigger="processor-default", reason="the subscriber answered 503", position=number,
                                                event_type="dev.observatory.job.queued.v1", event_id=f"job/{job_id}/2"))  # fmt: skip
        await store.keep_dead_letter(letter(3, trigger="hook", reason="the subscriber gave no answer", position=1,
                                            event_type="dev.observatory.job.queued.v1", event_id=f"job/{first}/2"))  # fmt: skip
        await claimed(store)
        assert await store.resolve_dead_letters([], 0, ["processor-default"]) == 1
        found = [await store.dead_letter(letter(n).id) for n in (1, 2, 3)]
        assert [(kept.status, kept.outcome is None) for kept in found] == [("resolved", False), ("kept", True), ("kept", True)]  # a hook's is its own

    async def test_one_at_a_time_holds_a_name_until_it_lets_go_or_its_time_is_over(self, store: JobStore, laboratory: Laboratory) -> None:
        assert await store.hold("bulk/1", "anna", 15)
        assert [await store.hold("bulk/1", "boris", 15), await store.hold("bulk/2", "boris", 15)] == [False, True]
        laboratory.pass_seconds(10)
        assert await store.hold("bulk/1", "anna", 15)  # renewed
        laboratory.pass_seconds(10)
        assert not await store.hold("bulk/1", "boris", 15)
        laboratory.pass_seconds(5)
        assert await store.hold("bulk/1", "boris", 15)
        await store.let_go("bulk/1", "anna")  # has it no more
        assert not await store.hold("bulk/1", "anna", 15)
        await store.let_go("bulk/1", "boris")
        taken = await asyncio.gather(*(store.hold("bulk/1", f"one of many {n}", 15) for n in range(20)))
        assert sum(taken) == 1
        laboratory.pass_seconds(60)
        await store.prune_settled(store.now(), 0)
        assert await store.hold("bulk/1", "anna", 15)

    async def test_an_unknown_dead_letter_is_not_found(self, store: JobStore) -> None:
        with pytest.raises(NotFound):
            await store.dead_letter("nowhere")


class Refusals:
    async def test_refusals_are_counted_by_type_and_reason(self, store: JobStore) -> None:
        await store.record_refusals([Refusal("demo.noop", "contract-violation", "x", "{}")] * 3 + [Refusal("unknown", "malformed-json", "y")])
        found = {(entry["type"], entry["reason"]): entry for entry in await store.refusals(10)}
        assert found["demo.noop", "contract-violation"]["count"] == 3
        assert found["unknown", "malformed-json"]["count"] == 1
        assert found["demo.noop", "contract-violation"]["samples"][0] == {"detail": "x", "sample": "{}"}
        assert found["unknown", "malformed-json"]["samples"] == []

    async def test_what_was_once_secret_is_remembered_for_good(self, laboratory: Laboratory, store: JobStore) -> None:
        old, new = {"properties": {"pin": {"x-secret": True}}}, {"properties": {"key": {"x-secret": True}}}
        assert await store.remember_secrets({}) == {}
        assert await store.remember_secrets({"a.login": old, "b.login": new}) == {"a.login": [old], "b.login": [new]}
        await store.close()
        store = await laboratory.open()
        for _ in range(2):
            found = await store.remember_secrets({"a.login": new})
            assert sorted(map(str, found["a.login"])) == sorted(map(str, [old, new])) and found["b.login"] == [new]
        await store.close()

    async def test_at_most_ten_samples_are_kept_a_minute(self, laboratory: Laboratory, store: JobStore) -> None:
        for _ in range(4):
            await store.record_refusals([Refusal(f"demo.{name}", "contract-violation", "x", "{}") for name in ("a", "b")] * 4)
        kept = await store.refusals(10)
        assert sum(entry["count"] for entry in kept) == 32
        assert sum(len(entry["samples"]) for entry in kept) == 10
        laboratory.pass_seconds(61)
        await store.record_refusals([Refusal("demo.a", "contract-violation", "x", "{}")])
        assert sum(len(entry["samples"]) for entry in await store.refusals(10)) == 11

    async def test_refusals_of_a_minute_are_told_once_a_type_and_reason(self, laboratory: Laboratory, store: JobStore) -> None:
        await store.record_refusals([Refusal("demo.a", "contract-violation", "x")] * 5 + [Refusal("demo.a", "unknown-queue", "y")])
        await store.record_refusals([Refusal("unknown", "unknown-task-type", "z")] * 2)
        await store.tick()
        assert await self.told(store) == []
        laboratory.pass_seconds(61)
        await asyncio.gather(*(store.tick() for _ in range(4)))
        await store.tick()
        assert await self.told(store) == [
            ("contract/demo.a", "contract-violation", 5),
            ("contract/demo.a", "unknown-queue", 1),
            ("contract/unknown", "unknown-task-type", 2),
        ]
        laboratory.pass_seconds(61)
        await store.record_refusals([Refusal("demo.a", "contract-violation", "x")])
        laboratory.pass_seconds(61)
        await store.tick()
        assert len(await self.told(store)) == 4

    async def told(self, store: JobStore) -> list[tuple[str | None, str, int]]:
        events = [event for event in await whole_feed(store) if short(event) == "refused"]
        return sorted((event.subject, event.data["reason"], event.data["count"]) for event in events)

    async def test_refusals_leave_no_job(self, store: JobStore) -> None:
        await store.record_refusals([Refusal("demo.noop", "contract-violation", "x", "{}")])
        assert await store.counts() == {}


class Life:
    async def test_everything_is_there_after_a_restart(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store, tags=["a"])
        await store.effect(job.id, job.lease_token, "step", {"a": 1})
        await ended(store, job, "failed", output="said")
        waiting = await one(store, depends_on=[job.id])
        await store.advance("reader", 3)
        await store.keep_dead_letter(letter())
        before = (await store.job(job.id), await store.attempts(job.id), await whole_feed(store), await store.counts(), store.source)
        await store.close()
        store = await laboratory.open()
        assert before == (await store.job(job.id), await store.attempts(job.id), await whole_feed(store), await store.counts(), store.source)
        assert await store.effects([job.id]) == {job.id: {"step": {"a": 1}}}
        assert (await store.cursors())["reader"] == 3
        assert (await store.dead_letter(letter().id)).body == b"\x00\xff{"
        laboratory.pass_seconds(5)
        await store.tick()
        await run(store)
        assert await states(store, job.id, waiting) == ["succeeded", "queued"]
        assert [event.position for event in await whole_feed(store)] == list(range(1, await store.head() + 1))
        await store.close()

    async def test_opening_says_what_was_found(self, laboratory: Laboratory, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(3)])
        await run(store)
        await claimed(store)
        await store.close()
        store = await laboratory.open()
        recovered = laboratory.recovered  # type: ignore[attr-defined]
        assert {state: count for state, count in recovered.counts.items() if count} == {"succeeded": 1, "running": 1, "queued": 1}
        await store.close()

    async def test_time_goes_on_after_a_restart(self, laboratory: Laboratory, store: JobStore) -> None:
        await one(store)
        before = store.now()
        await store.close()
        store = await laboratory.open()
        assert store.now() >= before
        await store.close()

    async def test_a_closed_store_says_that_it_is_away(self, laboratory: Laboratory, store: JobStore) -> None:
        await store.close()
        for call in (store.submit([request()]), store.tick(), store.ping(), store.head(), store.job("x"), store.advance("reader", 1)):
            with pytest.raises(StoreUnavailable):
                await call

    async def test_closing_writes_what_was_asked_before(self, laboratory: Laboratory, store: JobStore) -> None:
        writes = [asyncio.ensure_future(store.submit([request()])) for _ in range(20)]
        await asyncio.sleep(0)
        await store.close()
        ids = [all_taken(await write)[0].id for write in writes]
        store = await laboratory.open()
        assert await states(store, *ids) == ["queued"] * 20
        await store.close()

    async def test_a_store_answers_a_ping(self, store: JobStore) -> None:
        await store.ping()
        assert store.now() > 1_600_000_000 * SECOND
