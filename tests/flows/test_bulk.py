"""One wish for many jobs: found once, done in steps, through a pulled plug, and counted right."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.test_command_line import console
from tests.support.checker import check
from tests.support.system import System, running_system
from tests.support.waiting import wait_until


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path / "data") as system:
        yield system


def fill(system: System, jobs: int, **options: object) -> None:
    batch = {"jobs": [{"type": "demo.noop", "payload": {}, "delay_seconds": 3_600, **options} for _ in range(jobs)]}
    answer = system.request("POST", "/v1/jobs/batch", batch)
    assert all(item["status"] == 202 for item in answer.json()["items"])


def finished(system: System, url: str) -> dict[str, object]:
    return wait_until(lambda: found if (found := system.request("GET", url).json())["status"] == "finished" else None, 60)


def states(system: System) -> dict[str, int]:
    return {state: jobs for state, jobs in system.request("GET", "/v1/stats").json()["states"].items() if jobs}


def test_a_rehearsal_counts_and_does_nothing(system: System) -> None:
    fill(system, 30, tags=["old"])
    fill(system, 5)
    found = system.request("POST", "/v1/bulk", {"action": "cancel", "q": "tag:old", "dry_run": True})
    assert (found.status, found.json()["matched"], found.json()["able"]) == (200, 30, 30)
    assert system.request("GET", "/v1/jobs?q=state:cancelled").json()["items"] == []


def test_jobs_that_come_later_are_not_touched_and_outcomes_are_counted(system: System) -> None:
    fill(system, 450, tags=["old"])
    done = system.submit("demo.noop", tags=["old"])
    system.ended(done)
    begun = system.request("POST", "/v1/bulk", {"action": "cancel", "q": "tag:old", "reason": "wrong"})
    fill(system, 20, tags=["old"])
    assert begun.status == 202 and begun.json()["matched"] == 451
    operation = finished(system, begun.json()["url"])
    assert operation["outcomes"] == {"done": 450, "illegal-move": 1}
    assert operation["samples"][0]["id"] == done  # type: ignore[index]
    cancelled = system.request("GET", "/v1/jobs?q=state:cancelled&limit=200").json()["items"]
    assert cancelled
    events = system.request("GET", f"/v1/jobs/{cancelled[0]['id']}/events").json()["items"]
    assert events[-1]["data"]["reason"] == "wrong"
    assert len(system.request("GET", "/v1/jobs?q=tag:old%20state:scheduled&limit=200").json()["items"]) == 20


@pytest.mark.parametrize("action", ["cancel", "retry", "rerun"])
def test_a_pulled_plug_neither_loses_nor_repeats_a_step(tmp_path: Path, action: str) -> None:
    system = System(tmp_path / "data").start()
    jobs = 3_000
    for _ in range(jobs // 1_000):
        fill(system, 1_000)
    if action != "cancel":
        wait_until(lambda: system.request("GET", "/v1/stats").json()["lag"] == 0)
        finished(system, system.request("POST", "/v1/bulk", {"action": "cancel", "q": "state:scheduled"}).json()["url"])
    query = "state:scheduled" if action == "cancel" else "state:cancelled"
    url = system.request("POST", "/v1/bulk", {"action": action, "q": query}).json()["url"]
    wait_until(lambda: system.request("GET", url).json()["done"] > 0)
    for _ in range(2):
        system.kill()
        system.start()
    operation = finished(system, url)
    assert operation["outcomes"] == {"done": jobs}
    live = {"queued", "running", "retrying"}  # a lease that a kill cut off is taken up again
    wait_until(lambda: not system.request("GET", "/v1/stats").json()["lag"] and not live & states(system).keys(), 60)
    assert states(system) == {"cancel": {"cancelled": jobs}, "retry": {"succeeded": jobs}, "rerun": {"cancelled": jobs, "succeeded": jobs}}[action]
    assert system.stop() == 0
    assert check(tmp_path / "data" / "observatory.db") == []


@pytest.mark.parametrize(("wish", "words"), [
    ({"action": "explode", "q": ""}, "retry"), ({"action": "cancel"}, "is missing"), ({"action": "cancel", "q": "state:odd"}, "odd"),
    ({"action": "cancel", "q": "", "when": 1}, "not known"), ([], "must be an object"),
])  # fmt: skip
def test_a_wish_that_cannot_be_understood_is_answered_in_words(system: System, wish: object, words: str) -> None:
    answer = system.request("POST", "/v1/bulk", wish)
    assert answer.status in (400, 422)
    assert words in json.dumps(answer.json())


def test_the_command_line_rehearses_asks_does_and_lists(system: System) -> None:
    fill(system, 12, tags=["old"])
    assert "12 found, 12 can be" in console(system, "bulk", "cancel", "tag:old", "--dry-run").stdout
    assert "say --yes" in console(system, "bulk", "cancel", "tag:old").stderr
    done = console(system, "bulk", "cancel", "tag:old", "--yes")
    assert (done.returncode, "12 done" in done.stdout) == (0, True), done.stderr
    assert console(system, "bulk", "cancel", "tag:old", "--yes").returncode == 0  # asking twice changes nothing
    assert console(system, "bulk", "list").stdout.count("finished") == 2
    assert console(system, "bulk", "show", "nowhere").returncode == 5
