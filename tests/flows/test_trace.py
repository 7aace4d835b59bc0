"""One trace from the caller to the last effect: events, handlers, HTTP calls, webhooks, children, chains, reruns, schedules."""

from collections.abc import Iterator
from typing import Any

import pytest

from contracts.trace import below_attempt, below_job, trace_id
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, listening

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: outside}}
spec:
  broker: observatory
  filter: {{attributes: {{type: dev.observatory.job.succeeded.v1, jobtype: trace.told}}}}
  subscriber: {{uri: "{url}"}}
  delivery: {{retry: 0, deadLetterSink: {{ref: {{apiVersion: serving.knative.dev/v1, kind: Service, name: dead-letter}}, uri: /triggers/outside}}}}
"""


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with listening(204) as (found,):
        yield found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, hook: Webhook) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "triggers").mkdir()
    (folder / "triggers" / "outside.yaml").write_text(TRIGGER.format(url=hook.url))
    with running_system(folder / "data", OBSERVATORY_TRIGGERS=str(folder / "triggers"), OBSERVATORY_TASKS="tests.flows.trace_tasks",
                        OBSERVATORY_HTTP_ALLOW=hook.url.split("/")[2], PYTHONPATH=str(ROOT)) as started:  # fmt: skip
        yield started


def submitted(system: System, job_type: str, payload: Any = None, traceparent: str | None = CALLER, **options: Any) -> Any:
    """The job, ended."""
    headers = {"traceparent": traceparent} if traceparent is not None else {}
    answer = system.request("POST", "/v1/jobs", {"type": job_type, "payload": payload or {}, **options}, headers)
    assert answer.status == 202, answer.body
    return system.ended(answer.json()["id"])


def traces(system: System, job: Any) -> set[str]:
    """The traceparents of a job's events."""
    return {event["traceparent"] for event in system.request("GET", f"/v1/jobs/{job['id']}/events").json()["items"]}


def test_the_callers_trace_is_in_the_job_and_in_every_event(system: System) -> None:
    job = submitted(system, "trace.told")
    assert job["traceparent"] == CALLER
    assert traces(system, job) == {CALLER}


def test_a_handler_goes_on_with_the_trace_as_a_span_of_its_attempt(system: System) -> None:
    job = submitted(system, "trace.told")
    assert job["result"] == {"context": below_attempt(CALLER, job["id"], 1), "environment": below_attempt(CALLER, job["id"], 1)}


def test_an_event_brings_its_own_trace_or_that_of_its_request(system: System) -> None:
    other = f"00-{'1' * 32}-{'2' * 16}-00"
    for number, (own, expected) in enumerate(((other, other), (None, CALLER), ("odd", CALLER))):
        event = {"specversion": "1.0", "id": f"trace-{number}", "source": "/test", "type": "dev.observatory.job.requested.v1",
                 "data": {"type": "trace.told", "payload": {}}, **({"traceparent": own} if own else {})}  # fmt: skip
        headers = {"content-type": "application/cloudevents+json", "traceparent": CALLER}
        job = system.request("POST", "/", event, headers).json()
        assert system.job(job["id"])["traceparent"] == expected


def test_a_request_without_a_trace_begins_one_that_is_the_jobs_id(system: System) -> None:
    for given in (None, "odd", f"00-{'0' * 32}-b7ad6b7169203331-01"):
        job = submitted(system, "trace.told", traceparent=given)
        assert trace_id(job["traceparent"]) == job["id"].replace("-", "") == trace_id(job["result"]["context"])
        assert traces(system, job) == {job["traceparent"]}


def test_what_a_handler_submits_is_a_child_of_its_attempt(system: System) -> None:
    job = submitted(system, "trace.spawning", {"url": system.url})
    child = system.ended(job["result"]["child"])
    assert child["traceparent"] == job["result"]["context"] == below_attempt(CALLER, job["id"], 1)


def test_children_and_chains_go_on_with_their_parents_trace(system: System) -> None:
    job = submitted(system, "trace.told")
    child = submitted(system, "trace.told", traceparent=None, parent_id=job["id"])
    link = submitted(system, "trace.told", traceparent=None, depends_on=[child["id"]])
    own = submitted(system, "trace.told", traceparent=f"00-{'1' * 32}-{'2' * 16}-01", parent_id=job["id"])
    assert child["traceparent"] == below_job(CALLER, job["id"])
    assert link["traceparent"] == below_job(CALLER, child["id"])
    assert trace_id(own["traceparent"]) == "1" * 32


def test_a_batch_is_one_trace(system: System) -> None:
    jobs = [{"type": "trace.told", "payload": {}}, {"type": "trace.told", "payload": {}, "depends_on": ["#0"]}]
    items = system.request("POST", "/v1/jobs/batch", {"jobs": jobs}, {"traceparent": CALLER}).json()["items"]
    assert {system.job(item["id"])["traceparent"] for item in items} == {CALLER}


def test_a_rerun_goes_on_with_the_old_jobs_trace_or_the_callers(system: System) -> None:
    job = submitted(system, "trace.told")
    again = system.request("POST", f"/v1/jobs/{job['id']}/rerun").json()
    assert system.job(again["id"])["traceparent"] == below_job(CALLER, job["id"])
    other = f"00-{'3' * 32}-{'4' * 16}-01"
    again = system.request("POST", f"/v1/jobs/{job['id']}/rerun", headers={"traceparent": other}).json()
    assert system.job(again["id"])["traceparent"] == other


def test_a_retry_stays_in_the_trace_as_another_span(system: System) -> None:
    job = submitted(system, "demo.fail", {"times": 1}, max_attempts=1)
    system.request("POST", f"/v1/jobs/{job['id']}/retry", headers={"traceparent": f"00-{'5' * 32}-{'6' * 16}-01"})
    assert system.ended(job["id"])["status"] == "succeeded"
    assert traces(system, job) == {CALLER}


def test_calls_and_webhooks_carry_it_as_http_carries_traces(system: System, hook: Webhook) -> None:
    job = submitted(system, "http.call", {"url": hook.url, "body": {"a": 1}})
    (called,) = [headers for headers in hook.headers if headers.get("idempotency-key") == job["id"]]
    assert called["traceparent"] == below_attempt(CALLER, job["id"], 1)
    told = submitted(system, "trace.told")
    sent = wait_until(lambda: next((headers for headers in hook.headers if headers.get("ce-subject") == f"job/{told['id']}"), None))
    assert sent["traceparent"] == sent["ce-traceparent"] == CALLER


def test_each_firing_of_a_schedule_is_a_trace_with_its_job(system: System) -> None:
    wish = {"cron": "0 0 1 1 *", "template": {"type": "trace.told", "payload": {}}}
    assert system.request("PUT", "/v1/schedules/traced", wish).status == 201
    fired = system.request("POST", "/v1/schedules/traced/run", headers={"traceparent": CALLER}).json()
    plain = system.request("POST", "/v1/schedules/traced/run").json()
    events = system.request("GET", "/v1/events?subject=schedule/traced&type=schedule.fired").json()["items"]
    found = {event["data"]["job_id"]: event["traceparent"] for event in events}
    assert found == {job["id"]: system.job(job["id"])["traceparent"] for job in (fired, plain)}
    assert found[fired["id"]] == CALLER and trace_id(found[plain["id"]]) == plain["id"].replace("-", "")
