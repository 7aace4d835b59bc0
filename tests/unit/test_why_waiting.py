"""What holds a job, in one sentence: every reason there is, and which one comes first."""

from typing import Any

import pytest

from contracts.job import Job
from functions.read_model.why_waiting import why_waiting
from functions.stores.job_store import QueueState

SECOND = 1_000_000
NOW = 1_795_000_000 * SECOND
AT = "2026-11-18T11:06:40.000000Z"


def job(status: str, **parts: Any) -> Job:
    return Job(
        id="me", type="demo.noop", task_version=1, queue="default", priority=4, status=status, payload={}, max_attempts=5, attempts_allowed=5,
        timeout_seconds=60, created_at=NOW - SECOND, backoff={}, actor="anna", root_id="me", **parts,
    )  # fmt: skip


def queue(name: str = "default", **parts: Any) -> QueueState:
    state: dict[str, Any] = {
        "max_running": None, "rate_per_second": None, "paused": False, "paused_by": None, "paused_at": None, "depth": 3, "running": 2,
        "oldest_queued_at": NOW, "workers": {"worker": NOW - 2 * SECOND},
    }  # fmt: skip
    return QueueState(name, **{**state, **parts})


@pytest.mark.parametrize("status", ["running", "succeeded", "failed", "cancelled"])
def test_what_runs_or_has_ended_waits_for_nothing(status: str) -> None:
    assert why_waiting(job(status), {"default": queue()}, NOW) is None


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"status": "scheduled", "run_at": NOW}, f"It is scheduled for {AT}."),
        ({"status": "retrying", "run_at": NOW, "attempt": 2}, f"Attempt 2 of 5 failed; the next one begins at {AT}."),
        ({"status": "waiting", "depends_on": ["a"], "open_parents": 1}, "It waits for job a to end."),
        ({"status": "waiting", "depends_on": ["a", "b", "c"], "open_parents": 2}, "It waits for 2 of its 3 parent jobs to end."),
    ],
)
def test_time_and_parents_hold_a_job(parts: dict[str, Any], sentence: str) -> None:
    assert why_waiting(job(**parts), {"default": queue()}, NOW) == sentence


def test_open_parents_are_named_where_they_are_known() -> None:
    waiting = job("waiting", depends_on=["a", "b", "c"], open_parents=2)
    assert why_waiting(waiting, {}, NOW, ["b", "c"]) == "It waits for job b and 1 more of its 3 parents to end."
    assert why_waiting(waiting, {}, NOW, ["c"]) == "It waits for job c to end."


LATE = NOW - 45 * SECOND


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "It is queued: queue default has 3 waiting and 2 running."),
        ({"depth": 0}, "It is queued: queue default has 1 waiting and 2 running."),
        ({"rate_per_second": 0.5}, "Queue default starts at most 0.5 a second, and has 3 waiting."),
        ({"workers": {"a": LATE, "b": LATE - SECOND}}, "No worker was seen at queue default for 45 s; is its processor running?"),
        ({"workers": {}}, "No worker was seen at queue default for 60 s; is its processor running?"),
        ({"max_running": 4, "running": 4, "workers": {}}, "Queue default is at its limit: 4/4 are running."),
        ({"paused": True, "paused_by": "eva", "paused_at": NOW, "max_running": 2}, f"Queue default was paused by eva at {AT}."),
        ({"paused": True}, "Queue default was paused."),
    ],
)
def test_a_queue_holds_a_job_by_the_first_of_these(parts: dict[str, Any], sentence: str) -> None:
    queued = job("queued", queued_at=NOW - 60 * SECOND)
    assert why_waiting(queued, {"default": queue(**parts)}, NOW) == sentence


def test_a_job_that_has_just_come_blames_nobody() -> None:
    fresh = job("queued", queued_at=NOW - 5 * SECOND)
    assert "It is queued" in str(why_waiting(fresh, {"default": queue(workers={"a": NOW - 3_600 * SECOND})}, NOW))


def test_workers_that_are_busy_elsewhere_are_told_of() -> None:
    queues = {"default": queue(workers={}, running=0), "bulk": queue("bulk", running=8)}
    sentence = why_waiting(job("queued", queued_at=NOW - 30 * SECOND), queues, NOW)
    assert sentence == "No worker was seen at queue default for 30 s: other queues have 8 running."


def test_a_queue_that_is_declared_no_more_is_named() -> None:
    assert why_waiting(job("queued"), {}, NOW) == "Queue default is not declared any more, so no processor takes its jobs."
