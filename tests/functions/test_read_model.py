"""The read model over the running system: every address answers, lists page truly, the live stream resumes truly."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.streams import Stream
from tests.support.system import System, running_system
from tests.support.waiting import wait_until


def test_a_job_is_found_at_once_and_told_whole(system: System) -> None:
    job_id = system.submit("demo.fail", {"times": 1}, tags=["told-whole"], max_attempts=1)
    assert system.request("GET", f"/v1/jobs/{job_id}").status == 200  # read your write
    job = system.ended(job_id)
    assert job["status"] == "failed" and job["error"]["type"] and job["error"]["traceback"]
    events = system.request("GET", f"/v1/jobs/{job_id}/events").json()["items"]
    assert [event["sequence"] for event in events] == [str(n) for n in range(1, len(events) + 1)]
    assert [event["type"].split(".")[3] for event in events] == ["accepted", "queued", "started", "failed"]
    (attempt,) = system.request("GET", f"/v1/jobs/{job_id}/attempts").json()["items"]
    assert attempt["outcome"] == "failed" and attempt["worker"] and attempt["finished_at"]
    log = system.request("GET", f"/v1/jobs/{job_id}/attempts/{attempt['lease_token']}/log")
    assert log.status == 200 and log.headers["content-type"].startswith("text/plain")


def test_filters_hold_together(system: System) -> None:
    mine = system.submit("demo.noop", tags=["filter-a", "filter-b"], queue="bulk")
    other = system.submit("demo.noop", tags=["filter-a"])
    system.ended(mine), system.ended(other)

    def ids(query: str) -> list[str]:
        return [job["id"] for job in system.request("GET", f"/v1/jobs?{query}").json()["items"]]

    assert ids("tag=filter-a") == [other, mine]
    assert ids("tag=filter-a,filter-b") == [mine]
    assert ids("tag=filter-a&queue=bulk&state=succeeded&type=demo.noop") == [mine]
    assert ids("tag=filter-a&state=failed") == []
    assert ids(f"id={mine},{other}") == [other, mine]


def test_pages_neither_skip_nor_repeat_while_jobs_arrive(system: System) -> None:
    body = {"jobs": [{"type": "demo.noop", "payload": {}, "tags": ["paged"]}] * 40}
    before = [item["id"] for item in system.request("POST", "/v1/jobs/batch", body).json()["items"]]
    seen: list[str] = []
    path = "/v1/jobs?tag=paged&limit=7"
    cursor = ""
    while True:
        page = system.request("GET", path + cursor).json()
        seen += [job["id"] for job in page["items"]]
        system.submit("demo.noop", tags=["paged"])  # arrives between pages, above them
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == before[::-1]


@pytest.mark.parametrize(
    "path",
    ["/v1/jobs", "/v1/events", "/v1/stats", "/v1/tasks", "/v1/queues", "/v1/alerts", "/v1/functions", "/v1/contracts", "/v1/dead-letters",
     "/openapi.json", "/metrics", "/", "/health/liveness", "/health/readiness", "/v1/contracts/job", "/v1/contracts/job.queued"],
)  # fmt: skip
def test_every_address_answers_get_and_head(system: System, path: str) -> None:
    answer = system.request("GET", path)
    assert answer.status == 200, answer.body
    head = system.request("HEAD", path)
    assert head.status == 200 and head.body == b""


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/jobs/0198-none", 404), ("/v1/jobs/0198-none/events", 404), ("/v1/jobs?limit=0", 400), ("/v1/jobs?limit=501", 400), ("/v1/jobs?state=odd", 400),
     ("/v1/jobs?cursor=%00", 400), ("/v1/jobs?colour=red", 400), ("/v1/events?type=odd", 400), ("/v1/dead-letters/none", 404),
     ("/v1/contracts/none", 404), ("/v1/stream?after=-1", 400), ("/v1/nothing", 404)],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_words(system: System, path: str, status: int) -> None:
    answer = system.request("GET", path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and problem["detail"] and "Traceback" not in answer.body.decode()


def test_statistics_catch_up_with_the_feed_and_count_what_happened(system: System) -> None:
    job_id = system.submit("text.statistics", {"text": "a b c"})
    system.ended(job_id)

    def caught_up() -> Any:
        stats = system.request("GET", "/v1/stats").json()
        return stats if stats["lag"] == 0 and stats["types"].get("text.statistics") else None

    stats = wait_until(caught_up)
    assert sum(stats["states"].values()) == stats["accepted"]
    window = next(window for window in stats["windows"] if window["minutes"] == 5)
    assert window["covered_seconds"] >= 300
    assert window["succeeded"] >= 1 and window["throughput"] > 0
    for times in (window["waiting_seconds"], window["running_seconds"]):
        assert times["count"] >= 1 and 0 <= times["p50"] <= times["p95"] <= times["p99"]


def test_business_metrics_come_from_the_stores(system: System) -> None:
    system.ended(system.submit("demo.noop"))
    text = system.request("GET", "/metrics").body.decode()
    assert "observatory_" in text and "# HELP" in text and "# TYPE" in text


def test_a_waiting_job_says_why(system: System) -> None:
    job_id = system.submit("demo.noop", delay_seconds=3600)
    job = system.request("GET", f"/v1/jobs/{job_id}").json()
    assert job["status"] == "scheduled" and job["why_waiting"]
    assert system.request("POST", f"/v1/jobs/{job_id}/cancel", {"reason": "shown"}).status == 202
    assert system.ended(job_id)["why_waiting"] is None


# ---- the live stream --------------------------------------------------------------------------------------------


def test_the_stream_resumes_without_gap_or_repeat(system: System) -> None:
    head = system.request("GET", "/v1/stats").json()["head"]
    submitted = [system.submit("demo.noop", tags=["streamed"]) for _ in range(5)]
    for job_id in submitted:
        system.ended(job_id)
    last = system.request("GET", f"/v1/jobs/{submitted[-1]}/events").json()["items"][-1]
    upto = int(last["position"])
    first = Stream(system, f"?after={head}")
    seen: list[int] = []
    for position, _, data in first.messages():
        assert int(data["position"]) == position
        seen.append(position)
        if len(seen) == 7:
            break
    first.close()
    second = Stream(system, headers={"Last-Event-ID": str(seen[-1])})
    for position, _, _ in second.messages():
        seen.append(position)
        if position >= upto:
            break
    second.close()
    assert seen == list(range(head + 1, upto + 1))


def test_the_stream_tells_of_new_events_as_they_are_committed(system: System) -> None:
    stream = Stream(system, "?type=job.succeeded")
    assert stream.response.status == 200
    assert stream.response.getheader("content-type", "").startswith("text/event-stream")
    job_id = system.submit("demo.noop")
    for _, _, data in stream.messages():
        if data["subject"] == f"job/{job_id}":
            assert data["type"] == "dev.observatory.job.succeeded.v1"
            break
    stream.close()


def test_streams_are_bounded_and_end_with_the_system(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", OBSERVATORY_STREAMS_MAX="20") as system:
        streams = [Stream(system) for _ in range(20)]
        assert {stream.response.status for stream in streams} == {200}
        refused = Stream(system)
        assert refused.response.status == 503 and refused.response.getheader("retry-after")
        refused.close()
        assert system.ended(system.submit("demo.noop"))["status"] == "succeeded"
        began = time.monotonic()
        assert system.stop() == 0
        assert time.monotonic() - began < 10  # readers do not hold up the end
        for stream in streams:
            stream.response.read()  # ended cleanly, not reset
            stream.close()


# ---- secrets ----------------------------------------------------------------------------------------------------

SECRET = "hunter2-never-shown"
TASK = '''
from functions.processor.tasks import task, TaskContext

SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["user", "password"],
    "properties": {"user": {"type": "string"}, "password": {"type": "string", "x-secret": True}},
}

@task("secret.login", schema=SCHEMA)
def login(payload: dict, context: TaskContext) -> dict:
    return {"length": len(payload["password"])}
'''


def test_a_secret_appears_on_no_way_out(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "secret_tasks.py").write_text(TASK)
    with running_system(tmp_path / "data", OBSERVATORY_TASKS="secret_tasks", PYTHONPATH=str(modules)) as system:
        stream = Stream(system, "?after=0")
        payload = {"user": "ada", "password": SECRET}
        job = system.ended(system.submit("secret.login", payload))
        assert job["result"] == {"length": len(SECRET)}  # the handler got it whole
        assert job["payload"]["user"] == "ada" and SECRET not in json.dumps(job)
        refused = system.request("POST", "/v1/jobs", {"type": "secret.login", "payload": {**payload, "extra": 1}})
        assert refused.status == 422
        wait_until(lambda: system.request("GET", "/v1/contracts").json()["refusals"])
        for path in ("/v1/jobs", f"/v1/jobs/{job['id']}/events", "/v1/events", "/v1/contracts", "/v1/dead-letters", "/", "/metrics"):
            assert SECRET not in system.request("GET", path).body.decode(), path
        assert SECRET not in refused.body.decode()
        told = []
        for _, _, data in stream.messages():
            told.append(json.dumps(data))
            if data["type"].endswith("job.succeeded.v1"):
                break
        assert told and SECRET not in "".join(told)
        stream.close()
    assert SECRET not in system.said()


def test_jobs_are_found_by_a_query(system: System) -> None:
    job_id = system.submit("text.statistics", {"text": "a needle in hay"}, tags=["sought"])
    system.ended(job_id)
    query = quote('tag:sought "needle in hay" state:succeeded')
    page = system.request("GET", f"/v1/jobs?q={query}&queue=default").json()
    assert [job["id"] for job in page["items"]] == [job_id]
    assert page["complete"] is True and 0 <= page["indexed_to"] <= page["head"]


def test_the_fault_of_a_query_is_told_with_its_place(system: System) -> None:
    answer = system.request("GET", "/v1/jobs?q=tag:a%20sate:failed")
    assert answer.status == 400
    (fault,) = answer.json()["faults"]
    assert (fault["pointer"], fault["offset"]) == ("/q", 6) and "did you mean state?" in fault["detail"]
