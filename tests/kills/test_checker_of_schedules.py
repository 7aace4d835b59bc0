"""The checker sees what is wrong with schedules: each planted violation is named."""

import asyncio
from pathlib import Path

import pytest

from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from tests.kills.planting import planted_in
from tests.ports.job_store.schedules import put, resolve
from tests.ports.job_store.steps import run
from tests.support.checker import check
from tests.support.stores import SteppedClock


async def live(folder: Path) -> None:
    clock = SteppedClock()
    store = SqliteJobStore.at(folder / "observatory.db", check=validate_event, clock=clock)
    await store.open()
    await store.declare_queues([("default", None, None, False)])
    await put(store, "tidy", overlap="skip")
    await put(store, "brief")
    for _ in range(4):
        clock.advance(60)
        await store.tick(resolve=resolve)
        await run(store, limit=1)
    await store.delete_schedule("brief", "anna", None)
    await store.run_schedule("tidy", resolve, "anna")
    await store.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scheduled")
    asyncio.run(live(folder))
    return folder


FIRED = "type = 'dev.observatory.schedule.fired.v1'"
FIRST = f"(SELECT min(position) FROM events WHERE {FIRED})"
PLANTED = {
    "a due time": ("I7", "UPDATE schedules SET next_at = next_at + 1"),
    "a last job": ("I7", "UPDATE schedules SET last_job_id = 'other'"),
    "a pause": ("I7", "UPDATE schedules SET paused = 1"),
    "a template": ("I7", "UPDATE schedules SET definition = json_set(definition, '$.template.type', 'demo.fail')"),
    "a schedule that is gone": ("I7", "DELETE FROM schedules"),
    "a schedule that was deleted": ("I7", "INSERT INTO schedules SELECT 'brief', definition, paused, next_at, last_at, last_job_id FROM schedules"),
    "a key that is gone": ("I15", "DELETE FROM idempotency WHERE key LIKE 'schedule:%'"),
    "a due time that fired twice": ("I15", f"UPDATE events SET body = json_set(body, '$.data.due_at', (SELECT json_extract(body, '$.data.due_at') FROM events"
                                    f" WHERE position = {FIRST})) WHERE {FIRED} AND stream = 'schedule/tidy'"),
    "a job that is gone": ("I3", f"DELETE FROM jobs WHERE id = (SELECT json_extract(body, '$.data.job_id') FROM events WHERE position = {FIRST})"),
    "a job that nothing fired": ("I2", "UPDATE events SET body = json_set(body, '$.data.job_id', (SELECT id FROM jobs LIMIT 1)) WHERE " + FIRED),
}  # fmt: skip


def test_a_good_life_has_no_violation(good: Path) -> None:
    assert check(good / "observatory.db") == []


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_is_named(good: Path, tmp_path: Path, planted: str) -> None:
    invariant, sql = PLANTED[planted]
    found = check(planted_in(sql, good, tmp_path) / "observatory.db")
    assert any((violation.startswith(invariant) and "schedule" in violation) or "firing" in violation for violation in found), found
