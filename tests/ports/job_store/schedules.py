"""Schedules: what people and code wish of them, and what their due times become."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.errors import Conflict, ContractViolation, Fault, IdempotencyConflict, ScheduleNotFound
from contracts.event import Event
from contracts.job import JobRequest
from contracts.schedule import FIRINGS_AT_ONCE, Schedule, ScheduleSpec, after_event
from contracts.times import from_rfc3339
from functions.stores.audit import compare_schedule
from functions.stores.commands.firing import FINGERPRINT, firing_key
from functions.stores.job_store import JobStore, Submitted, Tick
from functions.stores.retention import DAY_MICROS, Retention
from tests.ports.job_store.retention import read_on
from tests.ports.job_store.steps import SECOND, Laboratory, claimed, ended, request, run, short, states, submitted, whole_feed

NOOP = {"type": "demo.noop", "payload": {"n": 1}}
MINUTE = 60 * SECOND


def spec(**parts: Any) -> ScheduleSpec:
    """A wish; by default one a minute, queueing."""
    parts.setdefault("template", NOOP)
    parts.setdefault("overlap", "queue")
    if "cron" not in parts:
        parts.setdefault("every_seconds", 60)
    return ScheduleSpec(**parts)


def resolve(template: dict[str, Any]) -> JobRequest:
    """As the catalogue would, for types that begin with demo."""
    if not template["type"].startswith("demo."):
        raise ContractViolation("no task of that type is known.", faults=[Fault("/type", "unknown")])
    options = {name: template[name] for name in ("queue", "unique_key", "priority") if name in template}
    return request(template["type"], payload=template["payload"], **options)


async def tick(store: JobStore, limit: int = 500) -> Tick:
    """Ticks until nothing is left to do at this instant."""
    total = await store.tick(resolve=resolve, limit=limit)
    while total.more:
        total = total.and_then(await store.tick(resolve=resolve, limit=limit))
    return total


async def put(store: JobStore, name: str = "tidy", **parts: Any) -> Schedule:
    schedule, _ = await store.put_schedule(name, spec(**parts), "anna")
    return schedule


async def story(store: JobStore, name: str = "tidy") -> list[str]:
    return [short(event) for event in await store.events_of(f"schedule/{name}")]


async def skips(store: JobStore, name: str = "tidy") -> list[dict[str, Any]]:
    return [event.data for event in await store.events_of(f"schedule/{name}") if short(event) == "skipped"]


async def jobs_of(store: JobStore, name: str = "tidy") -> list[str]:
    """Ids in the order of firing."""
    return [event.data["job_id"] for event in await store.events_of(f"schedule/{name}") if short(event) == "fired"]


async def every(store: JobStore) -> list[Schedule]:
    found, cursor = [], None
    while True:
        page = await store.schedules(3, cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


async def assert_rebuilt(store: JobStore) -> None:
    """The fold of the log is the table, and every job of a schedule is told once by it."""
    events = await whole_feed(store)
    assert {schedule.name: schedule for schedule in await every(store)} == rebuilt(events)
    for name, row, history in await store.schedules_with_history():
        assert compare_schedule(name, row, history) == []
    accepted = {event.data["id"]: event for event in events if short(event) == "accepted" and event.data["schedule"] is not None}
    fired = {event.data["job_id"]: event for event in events if event.type.endswith("schedule.fired.v1")}
    assert accepted.keys() == fired.keys()
    for job_id, event in accepted.items():
        assert event.attribute("causation") == fired[job_id].id and event.position == fired[job_id].position + 1
    dues = [(event.subject, event.data["due_at"]) for event in fired.values() if not event.data["manual"]]
    assert len(set(dues)) == len(dues)


def rebuilt(events: Sequence[Event]) -> dict[str, Schedule]:
    found: dict[str, Schedule | None] = {}
    for event in events:
        if (event.subject or "").startswith("schedule/"):
            found[event.data["name"]] = after_event(found.get(event.data["name"]), event.document)
    return {name: schedule for name, schedule in found.items() if schedule is not None}


class Schedules:
    """Wishes."""

    async def test_a_schedule_is_made_changed_and_found_unchanged(self, laboratory: Laboratory, store: JobStore) -> None:
        made, outcome = await store.put_schedule("tidy", spec(), "anna")
        assert (outcome, made.next_at, made.declared_by, made.created_at) == ("created", store.now() + MINUTE, "person", store.now())
        assert await store.schedule("tidy") == made
        assert await store.put_schedule("tidy", spec(), "berta") == (made, "unchanged")
        laboratory.pass_seconds(5)
        changed, outcome = await store.put_schedule("tidy", spec(cron="0 3 * * *", timezone="Europe/Berlin"), "berta")
        assert (outcome, changed.timing.every_seconds, changed.created_at) == ("updated", None, made.created_at)
        assert changed.updated_at == store.now()
        assert await story(store) == ["created", "updated"]
        actors = [event.attribute("actor") for event in await store.events_of("schedule/tidy")]
        assert actors == ["anna", "berta"]
        await assert_rebuilt(store)

    async def test_changing_the_template_leaves_the_due_times_alone(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store)
        laboratory.pass_seconds(40)
        changed = await put(store, template={**NOOP, "payload": {"n": 2}})
        assert (changed.next_at, changed.timing) == (made.next_at, made.timing)
        laboratory.pass_seconds(20)
        assert (await tick(store)).fired == 1
        assert (await store.job((await jobs_of(store))[0])).payload == {"n": 2}

    async def test_a_new_interval_counts_from_its_change(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        laboratory.pass_seconds(40)
        assert (await put(store, every_seconds=90)).next_at == store.now() + 90 * SECOND

    async def test_a_deleted_schedule_is_gone_and_may_come_again(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        await store.delete_schedule("tidy", "anna", "not needed")
        with pytest.raises(ScheduleNotFound, match="tidy"):
            await store.schedule("tidy")
        laboratory.pass_seconds(600)
        assert (await tick(store)).fired == 0
        again = await put(store)
        assert (again.created_at, again.last_at) == (store.now(), None)
        assert await story(store) == ["created", "deleted", "created"]
        await assert_rebuilt(store)

    async def test_what_is_not_there_is_refused_by_name(self, store: JobStore) -> None:
        for wish in (
            store.schedule("none"), store.delete_schedule("none", "anna", None), store.pause_schedule("none", True, "anna", None),
            store.run_schedule("none", resolve, "anna"),
        ):  # fmt: skip
            with pytest.raises(ScheduleNotFound, match="none"):
                await wish
        assert await whole_feed(store) == [event for event in await whole_feed(store) if (event.subject or "").startswith("queue/")]

    async def test_a_paused_schedule_does_not_fire_and_makes_nothing_up_for(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, misfires="all")
        paused = await store.pause_schedule("tidy", True, "berta", "holidays")
        assert (paused.paused, paused.paused_by, paused.pause_reason, paused.next_at) == (True, "berta", "holidays", None)
        assert await store.pause_schedule("tidy", True, "anna", "again") == paused
        laboratory.pass_seconds(600)
        assert (await tick(store)).next_due_at is None
        resumed = await store.pause_schedule("tidy", False, "anna", None)
        assert (resumed.paused, resumed.paused_by, resumed.next_at) == (False, None, store.now() + MINUTE)  # the grid is kept
        assert (await tick(store)).fired == 0
        assert await story(store) == ["created", "paused", "resumed"]
        await assert_rebuilt(store)

    async def test_a_pause_outlives_a_change_and_a_restart(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        paused = await store.pause_schedule("tidy", True, "berta", "holidays")
        changed = await put(store, every_seconds=30)
        assert (changed.paused, changed.paused_by, changed.paused_at, changed.next_at) == (True, "berta", paused.paused_at, None)
        assert (await put(store, every_seconds=30, paused=False)).next_at == store.now() + 30 * SECOND
        assert (await put(store, every_seconds=30, paused=True)).paused_by == "anna"
        await store.close()
        store = await laboratory.open()
        assert (await store.schedule("tidy")).paused
        await store.close()

    async def test_schedules_are_listed_by_name_in_pages(self, store: JobStore) -> None:
        for name in ("b", "a", "e.1", "c", "d", "z", "y"):
            await put(store, name)
        assert [schedule.name for schedule in await every(store)] == ["a", "b", "c", "d", "e.1", "y", "z"]


class DeclaredSchedules:
    async def test_what_code_declares_is_taken_over_and_followed(self, laboratory: Laboratory, store: JobStore) -> None:
        first = await store.declare_schedules({"demo.noop": spec(), "demo.fail": spec(cron="0 * * * *")})
        assert (first.created, first.deleted) == (["demo.noop", "demo.fail"], [])
        assert (await store.schedule("demo.noop")).declared_by == "code"
        laboratory.pass_seconds(10)
        again = await store.declare_schedules({"demo.noop": spec(), "demo.fail": spec(cron="30 * * * *")})
        assert (again.unchanged, again.updated, again.created) == (["demo.noop"], ["demo.fail"], [])
        last = await store.declare_schedules({"demo.noop": spec()})
        assert (last.unchanged, last.deleted) == (["demo.noop"], ["demo.fail"])
        assert await story(store, "demo.noop") == ["created"]
        assert await story(store, "demo.fail") == ["created", "updated", "deleted"]
        await assert_rebuilt(store)

    async def test_a_person_s_pause_outlives_the_next_start(self, store: JobStore) -> None:
        await store.declare_schedules({"demo.noop": spec()})
        await store.pause_schedule("demo.noop", True, "anna", None)
        assert (await store.declare_schedules({"demo.noop": spec()})).unchanged == ["demo.noop"]
        await store.declare_schedules({"demo.noop": spec(every_seconds=5)})
        schedule = await store.schedule("demo.noop")
        assert (schedule.paused, schedule.paused_by, schedule.timing.every_seconds) == (True, "anna", 5)

    async def test_a_start_in_time_shifts_no_due_time(self, laboratory: Laboratory, store: JobStore) -> None:
        await store.declare_schedules({"demo.noop": spec()})
        before = await store.schedule("demo.noop")
        laboratory.pass_seconds(59)
        await store.declare_schedules({"demo.noop": spec()})
        assert (await store.schedule("demo.noop")).next_at == before.next_at

    async def test_people_pause_what_code_declares_and_change_it_in_code(self, store: JobStore) -> None:
        await store.declare_schedules({"demo.noop": spec()})
        for wish in (store.put_schedule("demo.noop", spec(every_seconds=5), "anna"), store.delete_schedule("demo.noop", "anna", None)):
            with pytest.raises(Conflict, match="declared in code"):
                await wish
        assert (await store.run_schedule("demo.noop", resolve, "anna")).created

    async def test_a_person_s_schedule_of_that_name_stays_the_person_s(self, store: JobStore) -> None:
        await put(store, "demo.noop", every_seconds=7)
        declared = await store.declare_schedules({"demo.noop": spec()})
        assert (declared.taken, declared.updated) == (["demo.noop"], [])
        await store.declare_schedules({})
        assert (await store.schedule("demo.noop")).timing.every_seconds == 7


class Firings:
    async def test_a_due_time_becomes_a_job(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store, template={**NOOP, "queue": "bulk", "priority": 9})
        laboratory.pass_seconds(59)
        assert (await tick(store)).fired == 0
        laboratory.pass_seconds(2)
        done = await tick(store)
        assert (done.fired, done.skipped) == (1, 0)
        (job_id,) = await jobs_of(store)
        job = await store.job(job_id)
        assert (job.status, job.schedule, job.queue, job.priority, job.payload, job.actor) == (
            "queued", "tidy", "bulk", 9, {"n": 1}, "function:scheduler")  # fmt: skip
        schedule = await store.schedule("tidy")
        assert (schedule.last_at, schedule.last_job_id, schedule.next_at) == (made.next_at, job_id, (made.next_at or 0) + MINUTE)
        fired = (await store.events_of("schedule/tidy"))[-1]
        assert (from_rfc3339(fired.data["due_at"]), fired.data["manual"]) == (made.next_at, False)
        await assert_rebuilt(store)

    async def test_a_tick_says_when_the_next_firing_is_due(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, "slow", every_seconds=600)
        schedule = await put(store)
        assert (await tick(store)).next_due_at == schedule.next_at
        laboratory.pass_seconds(61)
        assert (await tick(store)).next_due_at == (schedule.next_at or 0) + MINUTE
        await store.pause_schedule("tidy", True, "anna", None)
        assert (await tick(store)).next_due_at == (await store.schedule("slow")).next_at

    async def test_without_a_way_to_read_templates_nothing_fires(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        laboratory.pass_seconds(61)
        assert await store.tick() == Tick(0, 0, 0, None)
        assert (await tick(store)).fired == 1

    async def test_ticks_at_once_make_one_job_of_a_due_time(self, laboratory: Laboratory, store: JobStore) -> None:
        for name in ("a", "b", "c"):
            await put(store, name)
        laboratory.pass_seconds(61)
        done = await asyncio.gather(*(store.tick(resolve=resolve) for _ in range(8)))
        assert sum(each.fired for each in done) == 3
        assert [len(await jobs_of(store, name)) for name in ("a", "b", "c")] == [1, 1, 1]

    async def test_a_due_time_whose_key_stands_for_a_job_gets_no_second(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store)
        key = firing_key("tidy", made.next_at or 0)
        (before,) = await submitted(store, request(keys=(key,), fingerprint=FINGERPRINT))
        laboratory.pass_seconds(61)
        assert (await tick(store)).fired == 0
        (skip,) = await skips(store)
        assert (skip["reason"], skip["job_id"]) == ("fired_before", before)
        laboratory.pass_seconds(60)
        assert (await tick(store)).fired == 1
        await assert_rebuilt(store)

    async def test_the_jobs_of_a_firing_are_claimed_like_any(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        laboratory.pass_seconds(61)
        await tick(store)
        (job,) = await run(store)
        assert (job.schedule, await states(store, job.id)) == ("tidy", ["succeeded"])

    async def test_a_firing_comes_before_what_is_released(self, laboratory: Laboratory, store: JobStore) -> None:
        await store.submit([request(run_at=store.now() + 30 * SECOND)])
        await put(store)
        laboratory.pass_seconds(61)
        await tick(store)
        kinds = [event.type.removeprefix("dev.observatory.").removesuffix(".v1") for event in (await whole_feed(store))[-4:]]
        assert kinds == ["schedule.fired", "job.accepted", "job.queued", "job.queued"]

    async def test_a_tick_takes_no_more_than_its_limit(self, laboratory: Laboratory, store: JobStore) -> None:
        for number in range(7):
            await put(store, f"s{number}")
        laboratory.pass_seconds(61)
        first = await store.tick(resolve=resolve, limit=3)
        assert (first.fired, first.more) == (3, True)
        assert (await tick(store, limit=3)).fired == 4

    async def test_a_template_that_is_refused_now_is_skipped_with_its_words(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, template={"type": "gone.task", "payload": {}})
        laboratory.pass_seconds(61)
        done = await tick(store)
        assert (done.fired, done.skipped) == (0, 1)
        (skip,) = await skips(store)
        assert (skip["reason"], skip["job_id"], skip["detail"]) == ("refused", None, "no task of that type is known. /type: unknown")
        schedule = await store.schedule("tidy")
        assert schedule.last_skip_reason == "refused: no task of that type is known. /type: unknown"
        assert schedule.next_at is not None and schedule.next_at > store.now()
        await assert_rebuilt(store)

    async def test_a_unique_key_in_the_template_holds_the_next_firing(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, template={**NOOP, "unique_key": "one"}, misfires="all")
        laboratory.pass_seconds(200)
        done = await tick(store)
        assert (done.fired, done.skipped) == (1, 2)
        (skip,) = await skips(store)
        (job_id,) = await jobs_of(store)
        assert (skip["reason"], skip["job_id"], skip["count"]) == ("unique_key", job_id, 2)
        await run(store)
        laboratory.pass_seconds(60)
        assert (await tick(store)).fired == 1
        await assert_rebuilt(store)


class Overlaps:
    async def test_a_firing_is_skipped_while_the_last_job_has_not_ended(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, overlap="skip")
        laboratory.pass_seconds(60)
        await tick(store)
        (job,) = await claimed(store, seconds=3_600)
        laboratory.pass_seconds(60)
        assert (await tick(store)).skipped == 1
        (skip,) = await skips(store)
        assert (skip["reason"], skip["job_id"]) == ("overlap", job.id)
        await ended(store, job)
        laboratory.pass_seconds(60)
        assert (await tick(store)).fired == 1
        assert await story(store) == ["created", "fired", "skipped", "fired"]
        await assert_rebuilt(store)

    async def test_with_queue_every_due_time_has_its_job(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, overlap="queue")
        for _ in range(3):
            laboratory.pass_seconds(60)
            assert (await tick(store)).fired == 1
        assert len(set(await jobs_of(store))) == 3

    async def test_of_missed_due_times_only_the_first_runs_when_the_others_overlap_it(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store, overlap="skip", misfires="all")
        laboratory.pass_seconds(330)
        done = await tick(store)
        assert (done.fired, done.skipped) == (1, 4)
        (skip,) = await skips(store)
        (job_id,) = await jobs_of(store)
        assert (skip["reason"], skip["count"], skip["job_id"]) == ("overlap", 4, job_id)
        assert from_rfc3339(skip["first_due_at"]) == (made.next_at or 0) + MINUTE
        assert from_rfc3339(skip["due_at"]) == (made.next_at or 0) + 4 * MINUTE
        await assert_rebuilt(store)


class Misfires:
    @pytest.mark.parametrize(("rule", "fired", "skipped"), [("one", 1, 9), ("all", 10, 0), ("none", 0, 10)])
    async def test_what_passed_unseen_is_made_up_for_by_its_rule(
        self, laboratory: Laboratory, store: JobStore, rule: str, fired: int, skipped: int
    ) -> None:
        made = await put(store, every_seconds=3_600, misfires=rule)
        laboratory.pass_seconds(10 * 3_600 + 1_800)
        done = await tick(store)
        assert (done.fired, done.skipped) == (fired, skipped)
        schedule = await store.schedule("tidy")
        assert schedule.next_at == (made.next_at or 0) + 10 * 3_600 * SECOND
        assert len(await jobs_of(store)) == fired
        if rule != "none":
            assert schedule.last_at == (made.next_at or 0) + 9 * 3_600 * SECOND
        if skipped:
            (skip,) = await skips(store)
            assert (skip["reason"], skip["count"], from_rfc3339(skip["first_due_at"])) == ("misfire", skipped, made.next_at)
        assert (await tick(store)).fired == 0
        await assert_rebuilt(store)

    @pytest.mark.parametrize("rule", ["one", "all", "none"])
    async def test_what_is_seen_within_a_minute_was_not_missed(self, laboratory: Laboratory, store: JobStore, rule: str) -> None:
        await put(store, every_seconds=3_600, misfires=rule)
        laboratory.pass_seconds(3_640)
        assert (await tick(store)).fired == 1

    async def test_with_all_a_thousand_at_most_are_made_up_for_and_the_rest_is_told(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store, every_seconds=1, misfires="all")
        laboratory.pass_seconds(FIRINGS_AT_ONCE + 250)
        done = await tick(store)
        assert (done.fired, done.skipped) == (FIRINGS_AT_ONCE, 250)
        (skip,) = await skips(store)
        assert (skip["reason"], skip["count"], from_rfc3339(skip["first_due_at"])) == ("misfire", 250, made.next_at)
        assert from_rfc3339(skip["due_at"]) == (made.next_at or 0) + 249 * SECOND  # the oldest are let go
        await assert_rebuilt(store)

    async def test_a_year_away_is_one_firing_and_one_event(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, cron="* * * * *", every_seconds=None, timezone="Europe/Berlin")
        laboratory.pass_seconds(366 * 86_400)
        done = await tick(store)
        assert done.fired == 1
        (skip,) = await skips(store)
        assert skip["more"] is True and skip["count"] > 1_000
        schedule = await store.schedule("tidy")
        assert schedule.last_at is not None and store.now() - MINUTE <= schedule.last_at <= store.now()
        await assert_rebuilt(store)

    async def test_a_restart_between_ticks_neither_loses_nor_repeats(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, every_seconds=10, misfires="all")
        for _ in range(4):
            laboratory.pass_seconds(25)
            await tick(store)
            await store.close()
            store = await laboratory.open()
        assert len(await jobs_of(store)) == 10
        await store.close()


class Remembering:
    async def test_what_a_row_is_made_of_outlives_retention(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store, overlap="skip")
        for _ in range(4):
            laboratory.pass_seconds(60)
            await tick(store)
            laboratory.pass_seconds(60)
            await tick(store)
            await run(store)
        assert (await story(store)) == ["created", *["fired", "skipped"] * 4]
        laboratory.pass_seconds(40 * 86_400)
        await read_on(store)
        for _ in range(20):
            if not (await store.prune(Retention({}, others_micros=30 * DAY_MICROS))).more:
                break
        assert (await story(store)) == ["created", "fired", "skipped"]
        assert rebuilt(await whole_feed(store)) == {"tidy": await store.schedule("tidy")}


class RunningNow:
    async def test_a_person_runs_a_schedule_now_and_its_due_times_stay(self, laboratory: Laboratory, store: JobStore) -> None:
        made = await put(store, overlap="skip")
        laboratory.pass_seconds(10)
        first, second = await store.run_schedule("tidy", resolve, "anna"), await store.run_schedule("tidy", resolve, "berta")
        assert first.created and second.created and first.id != second.id
        schedule = await store.schedule("tidy")
        assert (schedule.next_at, schedule.last_at, schedule.last_job_id) == (made.next_at, store.now(), second.id)
        events = await store.events_of("schedule/tidy")
        assert [(event.attribute("actor"), event.data["manual"]) for event in events[1:]] == [("anna", True), ("berta", True)]
        assert ((await store.job(first.id)).schedule, (await store.job(first.id)).actor) == ("tidy", "anna")
        laboratory.pass_seconds(51)
        assert (await tick(store)).skipped == 1  # what was run by hand has not ended
        await assert_rebuilt(store)

    async def test_a_paused_schedule_can_be_run_and_stays_paused(self, store: JobStore) -> None:
        await put(store, paused=True)
        assert (await store.run_schedule("tidy", resolve, "anna")).created
        schedule = await store.schedule("tidy")
        assert (schedule.paused, schedule.next_at) == (True, None)
        await assert_rebuilt(store)

    async def test_the_same_key_is_one_run(self, store: JobStore) -> None:
        await put(store)
        answers = await asyncio.gather(*(store.run_schedule("tidy", resolve, "anna", ("key:k",), b"tidy") for _ in range(5)))
        assert len({answer.id for answer in answers}) == 1
        assert sorted(answer.created for answer in answers) == [False] * 4 + [True]
        assert await story(store) == ["created", "fired"]
        with pytest.raises(IdempotencyConflict):
            await store.run_schedule("tidy", resolve, "anna", ("key:k",), b"other")
        await assert_rebuilt(store)

    async def test_a_template_that_is_refused_now_says_where(self, store: JobStore) -> None:
        await put(store, template={"type": "gone.task", "payload": {}})
        with pytest.raises(ContractViolation) as caught:
            await store.run_schedule("tidy", resolve, "anna", ("key:refused",), b"tidy")
        assert [fault.pointer for fault in caught.value.faults] == ["/template/type"]
        assert await story(store) == ["created"]

    async def test_a_unique_key_is_held_by_one(self, store: JobStore) -> None:
        await put(store, template={**NOOP, "unique_key": "one"})
        first = await store.run_schedule("tidy", resolve, "anna")
        second = await store.run_schedule("tidy", resolve, "anna")
        assert second == Submitted(first.id, "queued", created=False, deduplicated=True)
        assert await story(store) == ["created", "fired"]

    async def test_a_run_and_a_due_time_at_once_are_two_jobs(self, laboratory: Laboratory, store: JobStore) -> None:
        await put(store)
        laboratory.pass_seconds(61)
        await asyncio.gather(store.run_schedule("tidy", resolve, "anna"), store.tick(resolve=resolve), store.tick(resolve=resolve))
        await tick(store)
        assert len(await jobs_of(store)) == 2
        await assert_rebuilt(store)
