"""The checker sees what is wrong with alerts: each planted violation is named."""

import asyncio
from pathlib import Path

import pytest

from contracts.alerts import Rules
from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from tests.kills.planting import planted_in
from tests.ports.job_store.alerts import judging
from tests.support.checker import check
from tests.support.stores import SteppedClock


async def live(folder: Path) -> None:
    """One alert came and went, one became critical and is calming, one is raised."""
    clock = SteppedClock()
    store = SqliteJobStore.at(folder / "observatory.db", check=validate_event, clock=clock)
    await store.open()
    await store.judge_alerts(judging(0.2, 0.2, 0.2))
    await store.judge_alerts(judging(0.0, 0.7, 0.2))
    clock.advance(Rules().calm_seconds)
    await store.judge_alerts(judging(0.0, 0.0, 0.2))
    await store.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alerted")
    asyncio.run(live(folder))
    return folder


PLANTED = {
    "a row that is gone": ("I7", "DELETE FROM alerts WHERE id = 'failure-rate/demo.fail-2'"),
    "a row that was over": ("I7", "INSERT INTO alerts SELECT 'failure-rate/demo.fail-0', state FROM alerts LIMIT 1"),
    "a row that nobody told": ("I7", "INSERT INTO alerts SELECT 'failure-rate/odd', state FROM alerts LIMIT 1"),
    "a begin told twice": ("I5", "UPDATE events SET body = json_set(body, '$.data.severity', 'critical') WHERE stream = 'alert/failure-rate/demo.fail-1'"),
    "an end without a begin": ("I5", "UPDATE events SET body = json_set(body, '$.type', 'dev.observatory.alert.resolved.v1') WHERE sequence = 1"
                                     " AND stream = 'alert/failure-rate/demo.fail-0'"),
}  # fmt: skip


def test_a_good_life_has_no_violation(good: Path) -> None:
    assert check(good / "observatory.db") == []


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_is_named(good: Path, tmp_path: Path, planted: str) -> None:
    invariant, sql = PLANTED[planted]
    found = check(planted_in(sql, good, tmp_path) / "observatory.db")
    assert any(violation.startswith(f"{invariant}: alert failure-rate/") for violation in found), found
