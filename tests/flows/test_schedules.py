"""Schedules in the running system: on time without polling, and over kills in the middle of a firing."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from contracts.times import from_rfc3339
from tests.support.checker import check
from tests.support.system import System, running_system
from tests.support.waiting import wait_until

OFTEN = {"every_seconds": 1, "overlap": "queue", "misfires": "all", "template": {"type": "demo.noop", "payload": {}}}
QUICK = {"OBSERVATORY_LEASE_SECONDS": "2", "OBSERVATORY_RENEW_SECONDS": "0.4", "OBSERVATORY_TICK_SECONDS": "300"}


def firings(system: System, name: str = "often") -> list[Any]:
    """The data of each firing, oldest first."""
    return [event["data"] for event in reversed(system.request("GET", f"/v1/events?subject=schedule/{name}&type=schedule.fired&limit=500").json()["items"])]


def test_it_fires_on_time_though_the_next_tick_is_minutes_away(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **QUICK) as system:
        system.request("PUT", "/v1/schedules/often", OFTEN)
        found = wait_until(lambda: found if len(found := firings(system)) >= 3 else None, 30)
        assert len({firing["due_at"] for firing in found}) == len(found)
        system.request("POST", "/v1/schedules/often/pause")
        held = len(firings(system))
        time.sleep(2.2)  # two due times: time itself is what is tested
        assert len(firings(system)) == held
        system.request("POST", "/v1/schedules/often/resume")
        wait_until(lambda: len(firings(system)) > held)
    assert check(tmp_path / "data" / "observatory.db") == []


@pytest.mark.parametrize("point", ["inserted", *(pytest.param(point, marks=pytest.mark.kills) for point in ("committed", "published", "relayed"))])
def test_a_kill_in_the_middle_of_a_firing_neither_loses_nor_doubles_it(tmp_path: Path, point: str) -> None:
    """Killed three times at a point that each firing passes; in the end every due time has its one job, by `misfires: all`."""
    data = tmp_path / "data"
    with running_system(data, **QUICK) as system:
        system.request("PUT", "/v1/schedules/often", OFTEN)
    for passages in (9, 14, 11):
        system = System(data, OBSERVATORY_TEST_KILL=f"{point}:{passages}", **QUICK).start(wait=False)
        assert system.process is not None
        wait_until(lambda system=system: system.process.poll() is not None, 40)
        system.join()
    with running_system(data, **QUICK) as system:
        wait_until(lambda: len(firings(system)) >= 5)
        system.request("POST", "/v1/schedules/often/pause")
        found = firings(system)
        for firing in found:
            assert system.ended(firing["job_id"])["status"] == "succeeded"
        jobs = system.request("GET", "/v1/jobs?type=demo.noop&limit=500").json()["items"]
        assert Counter(job["id"] for job in jobs) == Counter(firing["job_id"] for firing in found)
        dues = [from_rfc3339(firing["due_at"]) for firing in found]
        assert dues == [dues[0] + n * 1_000_000 for n in range(len(dues))], "a due time is missing or doubled"
    assert check(data / "observatory.db") == []
