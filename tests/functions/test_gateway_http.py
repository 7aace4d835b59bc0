"""The gateway's surface over the running system: every way in, every answer."""

import json
import threading
import uuid
from typing import Any

import pytest

from tests.support.system import Answer, System

REQUESTED = "dev.observatory.job.requested.v1"
NOOP = {"type": "demo.noop", "payload": {}}


def submit(system: System, document: Any, query: str = "", **headers: str) -> Answer:
    return system.request("POST", f"/v1/jobs{query}", document, {name.replace("_", "-"): value for name, value in headers.items()})


def event(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "/tests", "type": REQUESTED, "data": NOOP, **changes}


def events_of(system: System, job_id: str) -> list[Any]:
    return system.request("GET", f"/v1/jobs/{job_id}/events").json()["items"]


def test_a_submission_is_answered_202_with_its_address(system: System) -> None:
    answer = submit(system, NOOP)
    assert answer.status == 202
    document = answer.json()
    assert document["status"] == "queued" and document["url"] == f"/v1/jobs/{document['id']}" == answer.headers["location"]
    assert system.request("GET", document["url"]).status == 200


def test_wait_answers_when_the_job_ends(system: System) -> None:
    answer = submit(system, {"type": "text.statistics", "payload": {"text": "a b"}}, "?wait=20")
    assert answer.status == 200
    assert answer.json()["status"] == "succeeded" and answer.json()["result"]["words"] == 2


def test_wait_answers_202_when_the_time_is_up(system: System) -> None:
    answer = submit(system, {"type": "demo.sleep", "payload": {"seconds": 3}}, "?wait=0.2")
    assert answer.status == 202 and answer.json()["status"] in ("queued", "running")


@pytest.mark.parametrize("key", ["order-7", "with spaces and ünicode".encode("ascii", "ignore").decode(), "x" * 256])
def test_the_same_key_and_request_are_one_job(system: System, key: str) -> None:
    key = f"{uuid.uuid4().hex[:8]}{key}"[:256]
    first, second = submit(system, NOOP, idempotency_key=key), submit(system, NOOP, idempotency_key=key)
    assert (first.status, second.status) == (202, 200)
    assert first.json()["id"] == second.json()["id"]


def test_the_same_key_with_another_request_is_409_and_changes_nothing(system: System) -> None:
    key = uuid.uuid4().hex
    first = submit(system, NOOP, idempotency_key=key)
    other = submit(system, {**NOOP, "priority": 9}, idempotency_key=key)
    assert other.status == 409 and other.headers["content-type"] == "application/problem+json"
    assert system.request("GET", first.json()["url"]).json()["priority"] == 4


def test_50_equal_submissions_at_once_are_one_job(system: System) -> None:
    key, answers = uuid.uuid4().hex, []
    threads = [threading.Thread(target=lambda: answers.append(submit(system, NOOP, idempotency_key=key))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 49 + [202]


# ---- CloudEvents ------------------------------------------------------------------------------------------------


def test_an_event_in_structured_mode_is_a_job_with_its_cause(system: System) -> None:
    sent = event(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    answer = system.request("POST", "/", json.dumps(sent).encode(), {"content-type": "application/cloudevents+json"})
    assert answer.status == 202
    accepted = events_of(system, answer.json()["id"])[0]
    assert accepted["causation"] == f"/tests {sent['id']}" and accepted["traceparent"] == sent["traceparent"]
    job = system.request("GET", answer.json()["url"]).json()
    assert (job["source"], job["source_id"]) == ("/tests", sent["id"])


def test_an_event_in_binary_mode_is_a_job_once(system: System) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": uuid.uuid4().hex, "ce-source": "/tests", "ce-type": REQUESTED,
               "content-type": "Application/JSON; charset=UTF-8"}  # fmt: skip
    first = system.request("POST", "/", json.dumps(NOOP).encode(), headers)
    again = system.request("POST", "/", json.dumps(NOOP).encode(), headers)
    assert (first.status, again.status) == (202, 200)
    assert first.json()["id"] == again.json()["id"]


def test_events_in_batched_mode_answer_each_in_its_place(system: System) -> None:
    batch = [event(), event(data={"type": "no.such", "payload": {}}), event(type="com.example.other"), event()]
    answer = system.request("POST", "/", json.dumps(batch).encode(), {"content-type": "application/cloudevents-batch+json"})
    assert answer.status == 200
    assert [item["status"] for item in answer.json()["items"]] == [202, 422, 422, 202]


def test_the_webhook_handshake_is_answered(system: System) -> None:
    answer = system.request("OPTIONS", "/", headers={"WebHook-Request-Origin": "events.example.com"})
    assert answer.status == 200 and answer.headers["webhook-allowed-origin"] == "events.example.com"


# ---- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_stores_what_is_valid_and_says_what_is_not(system: System) -> None:
    key = uuid.uuid4().hex
    keyed = {**NOOP, "idempotency_key": key}
    jobs = [NOOP, {"type": "demo.noop", "payload": {"odd": 1}}, keyed, keyed, {**NOOP, "depends_on": ["#0"]}]
    items = system.request("POST", "/v1/jobs/batch", {"jobs": jobs}).json()["items"]
    assert [item["status"] for item in items] == [202, 422, 202, 200, 202]
    assert items[2]["id"] == items[3]["id"]
    assert items[1]["problem"]["faults"][0]["pointer"].startswith("/payload")
    child = system.request("GET", items[4]["url"]).json()
    assert child["depends_on"] == [items[0]["id"]]


def test_a_chain_in_a_batch_runs_in_order(system: System) -> None:
    jobs = [NOOP, *({**NOOP, "depends_on": [f"#{n}"]} for n in range(9))]
    items = system.request("POST", "/v1/jobs/batch", {"jobs": jobs}).json()["items"]
    last = items[-1]["id"]
    for _ in range(400):
        job = system.request("GET", f"/v1/jobs/{last}").json()
        if job["status"] == "succeeded":
            break
    ended = [system.request("GET", item["url"]).json()["finished_at"] for item in items]
    assert ended == sorted(ended) and None not in ended


# ---- refusals and wishes ----------------------------------------------------------------------------------------


def test_a_refusal_lists_every_fault(system: System) -> None:
    answer = submit(system, {"type": "demo.sleep", "payload": {"seconds": -1, "odd": True}, "queue": "default"})
    assert answer.status == 422
    problem = answer.json()
    assert problem["type"].startswith("urn:observatory:problem:") and problem["status"] == 422
    assert {fault["pointer"] for fault in problem["faults"]} == {"/payload/seconds", "/payload/odd"}


def test_an_unknown_type_names_what_is_close(system: System) -> None:
    answer = submit(system, {"type": "text.statistic", "payload": {}})
    assert answer.status == 422 and "text.statistics" in answer.json()["detail"]


def test_cancel_retry_and_rerun(system: System) -> None:
    job_id = submit(system, {**NOOP, "delay_seconds": 3600}).json()["id"]
    assert system.request("POST", f"/v1/jobs/{job_id}/cancel", {"reason": "not now"}).json()["status"] == "cancelled"
    assert system.request("POST", f"/v1/jobs/{job_id}/cancel").status == 202  # asking twice is no fault
    assert system.request("POST", f"/v1/jobs/{job_id}/retry").json()["status"] == "queued"
    names = [each["type"].split(".")[3] for each in events_of(system, job_id)]
    assert names[:5] == ["accepted", "scheduled", "cancelled", "reopened", "queued"]
    done = submit(system, NOOP, "?wait=20").json()
    again = system.request("POST", f"/v1/jobs/{done['id']}/rerun")
    assert again.status == 202
    assert system.request("GET", again.json()["url"]).json()["parent_id"] == done["id"]
    keyed = [system.request("POST", f"/v1/jobs/{done['id']}/rerun", headers={"idempotency-key": "rerun-1"}) for _ in range(2)]
    assert [answer.status for answer in keyed] == [202, 200] and len({answer.json()["id"] for answer in keyed}) == 1
    assert system.request("POST", f"/v1/jobs/{job_id}/rerun", headers={"idempotency-key": "rerun-1"}).status in (403, 409)
    assert system.request("POST", f"/v1/jobs/{done['id']}/retry").status == 409
    assert system.request("POST", "/v1/jobs/none/cancel").status == 404


def test_a_paused_queue_holds_its_jobs_and_says_so(system: System) -> None:
    assert system.request("POST", "/v1/queues/io/pause", {"reason": "maintenance"}).json() == {"name": "io", "paused": True}
    job_id = submit(system, {**NOOP, "queue": "io"}).json()["id"]
    job = system.request("GET", f"/v1/jobs/{job_id}").json()
    assert job["status"] == "queued" and "paused" in job["why_waiting"]
    assert system.request("POST", "/v1/queues/io/resume").status == 202
    for _ in range(400):
        if system.request("GET", f"/v1/jobs/{job_id}").json()["status"] == "succeeded":
            break
    else:
        raise AssertionError("a resumed queue did not go on")


def test_the_openapi_document_names_an_owner_for_each_operation(system: System) -> None:
    document = system.request("GET", "/openapi.json").json()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len(operations) > 25
    assert {operation["x-function"] for operation in operations} == {"gateway", "read-model", "dead-letter"}
    assert all(operation["summary"] and operation["responses"] for operation in operations)
