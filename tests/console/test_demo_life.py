"""`make demo-life`: a little of everything that can happen, within seconds, on a running system."""

from random import Random
from typing import Any

from console import gentle_load
from contracts import validation
from tests.console.test_command_line import answer, console
from tests.support.system import System
from tests.support.waiting import wait_until

FIRST_SECONDS = 6.0


def test_everything_comes_within_the_first_seconds() -> None:
    beats = range(int(FIRST_SECONDS / gentle_load.BEAT_SECONDS))
    assert {act.name for beat in beats for act in gentle_load.due(beat)} == {act.name for act in gentle_load.ACTS}


def test_the_same_dice_make_the_same_requests_and_all_are_well_formed() -> None:
    for act in gentle_load.ACTS:
        for seed in range(20):
            requests = gentle_load.requests_of(act, Random(seed), ["/a", "/b"] if seed % 2 else [])
            assert requests == gentle_load.requests_of(act, Random(seed), ["/a", "/b"] if seed % 2 else [])
            for request in requests:
                assert not validation.faults("job-batch-item", request), act.name
    for schedule in gentle_load.SCHEDULES.values():
        assert not validation.faults("schedule-request", schedule)


def test_a_running_system_gets_some_of_everything_and_keeps_no_schedule(system: System) -> None:
    done = answer(console(system, "demo-life", "--seconds", str(FIRST_SECONDS), "--speed", "20", "--seed", "7", "--json"))
    assert done["refused"] >= 1 and done["jobs"] > 50

    def found(query: str) -> Any:
        return system.request("GET", f"/v1/jobs?limit=1&q=tag:demo-life%20{query}").json()["items"]

    for query in ("tag:work%20state:succeeded", "tag:failure-family%20state:failed", "tag:chain", "tag:retries", "state:cancelled", "tag:delayed"):
        assert wait_until(lambda query=query: found(query)), query
    letters = wait_until(lambda: system.request("GET", "/v1/dead-letters?status=kept").json()["items"])
    letter = next(letter for letter in letters if letter["trigger"] == "demo-unheard")
    assert letter["reason"].startswith("the subscriber gave no answer at http://127.0.0.1:9/...: ConnectError")
    assert not [name for name in (s["name"] for s in system.request("GET", "/v1/schedules").json()["items"]) if name.startswith("demo-life")]
