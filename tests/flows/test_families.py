"""Jobs that depend on one another, in the running system: a thousand in a chain, a thousand in a fan, and a cancel down a chain."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.support.system import System, running_system
from tests.support.waiting import wait_until

MANY = 1_000
NOOP: dict[str, Any] = {"type": "demo.noop", "payload": {}}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("families") / "data", OBSERVATORY_TICK_SECONDS="600") as system:
        yield system


def submitted(system: System, requests: list[dict[str, Any]]) -> list[str]:
    items = system.request("POST", "/v1/jobs/batch", {"jobs": requests}).json()["items"]
    assert {item["status"] for item in items} == {202}
    return [item["id"] for item in items]


def chain(first: dict[str, Any]) -> list[dict[str, Any]]:
    return [first, *[{**NOOP, "depends_on": [f"#{number}"]} for number in range(MANY - 1)]]


def graph(system: System, job_id: str) -> Any:
    return system.request("GET", f"/v1/jobs/{job_id}/graph").json()


def states(system: System, job_id: str) -> set[str]:
    return {node["status"] for node in graph(system, job_id)["nodes"]}


def test_a_thousand_in_a_chain_run_one_after_the_other(family: System) -> None:
    """No tick helps: each is released in the commit that ends the one before, and rings by itself."""
    jobs = submitted(family, chain(NOOP))
    wait_until(lambda: family.job(jobs[-1])["status"] == "succeeded", 90)
    found = graph(family, jobs[MANY // 2])
    assert [node["id"] for node in found["nodes"]] == jobs and not found["truncated"]
    assert [(edge["from"], edge["to"], edge["kind"]) for edge in found["edges"]] == [(a, b, "depends_on") for a, b in pairwise(jobs)]
    assert {(node["status"], node["attempt"]) for node in found["nodes"]} == {("succeeded", 1)}
    times = [time for node in found["nodes"] for time in (node["started_at"], node["finished_at"])]
    assert times == sorted(times)


def test_a_thousand_open_and_close_like_a_fan(family: System) -> None:
    root, *leaves = submitted(family, [NOOP, *[{**NOOP, "depends_on": ["#0"]} for _ in range(MANY - 1)]])
    leaves += submitted(family, [{**NOOP, "depends_on": [root]}])
    (last,) = submitted(family, [{**NOOP, "depends_on": leaves}])
    wait_until(lambda: family.job(last)["status"] == "succeeded", 60)
    nodes = {node["id"]: node for node in graph(family, last)["nodes"]}
    assert list(nodes) == [root, *leaves, last]
    assert {(node["status"], node["attempt"]) for node in nodes.values()} == {("succeeded", 1)}
    assert nodes[root]["finished_at"] <= min(nodes[leaf]["started_at"] for leaf in leaves)
    assert max(nodes[leaf]["finished_at"] for leaf in leaves) <= nodes[last]["started_at"]


def test_a_cancel_goes_down_a_chain_of_a_thousand(family: System) -> None:
    jobs = submitted(family, chain({**NOOP, "delay_seconds": 3_600}))
    assert states(family, jobs[-1]) == {"scheduled", "waiting"}
    answer = family.request("POST", f"/v1/jobs/{jobs[0]}/cancel", {"reason": "not today"})
    assert (answer.status, answer.json()["status"]) == (202, "cancelled")
    assert states(family, jobs[0]) == {"cancelled"}  # at once: it is one commit
    last = family.request("GET", f"/v1/jobs/{jobs[-1]}/events").json()["items"][-1]["data"]
    assert (last["cause"], last["reason"]) == ("parent", f"its parent {jobs[-2]} is cancelled")


def test_a_waiting_job_names_the_parents_that_it_waits_for(family: System) -> None:
    first, second, third, child = submitted(family, [NOOP, *[{**NOOP, "delay_seconds": 3_600}] * 2, {**NOOP, "depends_on": ["#0", "#1", "#2"]}])
    family.ended(first)
    assert family.job(child)["why_waiting"] == f"It waits for job {second} and 1 more of its 3 parents to end."
    family.request("POST", f"/v1/jobs/{third}/cancel")
    assert family.job(child)["status"] == "cancelled"


def test_an_unknown_job_has_no_graph(family: System) -> None:
    assert family.request("GET", "/v1/jobs/00000000-0000-7000-8000-000000000000/graph").status == 404
    assert family.request("GET", "/v1/jobs/x/graph?limit=0").status == 400
