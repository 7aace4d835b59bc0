"""The gate: is this deployment whole? Harms nothing; what it makes, it names by a tag and ends."""

import time
import uuid
from typing import Any

import httpx

from knative.e2e import cluster, ports
from knative.e2e.access import NAMESPACE
from knative.e2e.checks.deployment import Deployment
from knative.e2e.kubectl import is_ready, names, wait_until

CLOUD_EVENT = "dev.observatory.job.requested.v1"
BOTH = ("processor-default", "metrics-engine")  # the Triggers that an event of a queued job goes by
OF_SEVERAL: tuple[tuple[str, str, Any, int], ...] = (  # what every function's port takes, whoever answers it; what is sent, is sent in vain
    ("GET", "/", None, 200), ("HEAD", "/v1/jobs", None, 200), ("GET", "/openapi.json", None, 200),
    ("POST", "/", {}, 415), ("POST", "/v1/jobs", {}, 422),
)  # fmt: skip
MODES = ("binary", "structured", "batched")


def the_context_answers(it: Deployment) -> str:
    it.api("get", "--raw", "/readyz")
    return it.api.context


def every_pod_is_ready(it: Deployment) -> str:
    """Deployments and StatefulSets available, functions ready; one that is just being woken is waited for."""
    wait_until("everything is ready", lambda: not _unready(it), timeout=120, look=lambda: "\n".join([*_unready(it), it.api.hints()]))
    pods = it.pods()
    platform = sum(len(it.api.within(namespace).items("pods")) for namespace in (cluster.SERVING, cluster.EVENTING, cluster.KOURIER, cluster.RABBITMQ))
    whole = len(pods) + platform
    assert whole >= 15, f"{whole} pods run; 15 or more are expected"
    return f"{len(pods)} pods of ours and {platform} of Knative's run, {len(it.functions())} functions ready"


def _unready(it: Deployment) -> list[str]:
    things = [(each, each["spec"].get("replicas", 1), each["status"].get("readyReplicas", 0)) for each in it.api.items("deployments,statefulsets")]
    short = [f"{each['kind']} {each['metadata']['name']}: {ready} of {wanted} ready" for each, wanted, ready in things if ready < wanted]
    return short + [f"function {name} is not ready" for name in names([each for each in it.functions() if not is_ready(each)])]


def the_gateway_is_healthy(it: Deployment) -> str:
    answer = it._try(lambda: it.gateway.get("/health/readiness"), 8)
    assert answer.status_code == 200, answer.text
    return ""


def the_read_model_is_healthy(it: Deployment) -> str:
    answer = it._try(lambda: it.read_model.get("/health/readiness"), 8)
    assert answer.status_code == 200, answer.text
    return ""


def three_jobs_are_processed_within_30_seconds(it: Deployment) -> str:
    began = time.monotonic()
    jobs = it.ended([it.submit("text.statistics", {"text": "to be or not to be"}) for _ in range(3)], timeout=30)
    assert all(job["status"] == "succeeded" and job["result"]["words"] == 6 for job in jobs), str(jobs)[:300]
    return f"{time.monotonic() - began:.1f} s from the first submission to the third end"


def events_are_persisted_in_mongodb(it: Deployment) -> str:
    """Read from MongoDB itself, not through the read model."""
    job_id = it.submit("demo.noop", {})
    it.ended([job_id])
    told = {event["id"] for event in it.events(job_id)}
    code = (
        "import json, os, pymongo; url = os.environ['OBSERVATORY_MONGO_URL']; "
        "events = pymongo.MongoClient(url).get_default_database()['events']; "
        f"print(json.dumps([event['id'] for event in events.find({{'subject': 'job/{job_id}'}})]))"
    )
    kept: set[str] = set()

    def archived() -> bool:
        kept.update(it.inside(code))
        return told <= kept

    seconds = wait_until(f"the {len(told)} events of a job are archived", archived, timeout=40)
    return f"all {len(told)} events of a job, {seconds:.1f} s after its end"


def statistics_are_aggregated(it: Deployment) -> str:
    before = it.get("/v1/stats")["states"].get("succeeded", 0)
    it.ended([it.submit("demo.noop", {}) for _ in range(2)])
    wait_until("the statistics count two more", lambda: it.get("/v1/stats")["states"].get("succeeded", 0) >= before + 2, timeout=30)
    return ""


def the_gateway_tells_metrics(it: Deployment) -> str:
    text = it._try(lambda: it.gateway.get("/metrics"), 4).text
    assert "observatory_requests_total" in text, text[:200]
    return f"{sum(not line.startswith('#') for line in text.splitlines())} samples"


def cloud_events_are_taken_in_three_modes(it: Deployment) -> str:
    ids = []
    for mode in MODES:
        answer = _send_event(it, mode, uuid.uuid4().hex)
        assert answer.status_code in (200, 202), f"{mode}: {answer.status_code} {answer.text[:200]}"
        document = answer.json()
        ids.append(document["items"][0]["id"] if mode == "batched" else document["id"])
    jobs = it.ended(ids)
    assert all(job["status"] == "succeeded" for job in jobs), str(jobs)[:300]
    return ", ".join(MODES)


def _send_event(it: Deployment, mode: str, event_id: str) -> Any:
    attributes = {"specversion": "1.0", "id": event_id, "source": "/gate", "type": CLOUD_EVENT}
    data = {"type": "demo.noop", "payload": {}, "tags": [it.run]}
    whole = {**attributes, "datacontenttype": "application/json", "data": data}
    if mode == "binary":
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        return it._try(lambda: it.gateway.post("/", json=data, headers=headers), 6)
    kind = "application/cloudevents+json" if mode == "structured" else "application/cloudevents-batch+json"
    body = whole if mode == "structured" else [whole]
    return it._try(lambda: it.gateway.post("/", json=body, headers={"content-type": kind}), 6)


def an_invalid_job_is_refused_with_its_faults(it: Deployment) -> str:
    tag = f"{it.run}-invalid"
    answer = it.post("/v1/jobs", {"type": "text.statistics", "payload": {"text": 7, "more": 1}, "tags": [tag]})
    faults = answer.json().get("faults", [])
    assert answer.status_code == 422 and len(faults) >= 2, f"{answer.status_code} {answer.text[:300]}"
    assert not it.get("/v1/jobs", q=f"tag:{tag}")["items"], "the refused job is stored"
    return f"{len(faults)} faults named, nothing stored"


def refusals_are_counted(it: Deployment) -> str:
    def refused() -> int:
        return sum(item["count"] for item in it.get("/v1/contracts")["refusals"] if item["type"] == "demo.sleep")

    before = refused()
    it.post("/v1/jobs", {"type": "demo.sleep", "payload": {"seconds": "long"}})
    wait_until("the refusal is counted", lambda: refused() > before, timeout=30)
    return ""


def a_poisoned_job_ends_as_failed(it: Deployment) -> str:
    job_id = it.submit("demo.fail", {"times": 99}, max_attempts=2)
    job = it.ended([job_id], timeout=120)[0]
    started = [event for event in it.events(job_id) if event["type"].endswith("job.started.v1")]
    assert job["status"] == "failed" and len(started) == 2, f"{job['status']} after {len(started)} attempts"
    return "both attempts stand on its timeline"


def what_nobody_can_handle_is_kept_and_replayed(it: Deployment) -> str:
    """A broken event by the Broker itself, so that it goes the way of real ones."""
    event_id = f"{it.run}-broken"
    it.publish_broken(event_id)
    wait_until("it is among the dead letters", lambda: both_are_kept(it, event_id), timeout=90, look=it.api.hints)
    letter = next(each for each in it.letters(event_id) if each["trigger"] == "processor-default")
    replayed = it.post(f"/v1/dead-letters/{letter['id']}/replay")
    assert replayed.status_code in (200, 202, 409, 422), f"replay: {replayed.status_code} {replayed.text[:200]}"
    wait_until("its letters are settled", lambda: are_settled(it, event_id), timeout=60)
    return f"kept for {letter['trigger']}: {letter['reason'][:60]}"


def both_are_kept(it: Deployment, event_id: str) -> bool:
    """A broken event goes to a processor and to the metrics engine, and neither can handle it."""
    return set(BOTH) <= {each["trigger"] for each in it.letters(event_id)}


def are_settled(it: Deployment, event_id: str) -> bool:
    """Discards what is kept of an event: what was replayed is kept again."""
    kept = [each for each in it.letters(event_id) if each["status"] == "kept"]
    for each in kept:
        it.post(f"/v1/dead-letters/{each['id']}/discard", {"reason": "made by the gate"})
    return not kept


def a_repeated_submission_is_one_job(it: Deployment) -> str:
    key = {"idempotency-key": uuid.uuid4().hex}
    first = it.submit("demo.noop", {}, headers=key)
    assert it.submit("demo.noop", {}, headers=key) == first
    other = it.post("/v1/jobs", {"type": "demo.noop", "payload": {}, "priority": 9}, key)
    assert other.status_code == 409, f"another request under the key: {other.status_code}"
    return ""


def a_queue_has_its_own_processor(it: Deployment) -> str:
    job = it.ended([it.submit("demo.noop", {}, queue="io")])[0]
    started = next(event for event in it.events(job["id"]) if event["type"].endswith("job.started.v1"))
    worker = started["data"]["worker"]
    assert "processor-io" in worker, f"queue io was worked on by {worker}"
    return worker


def a_schedule_fires(it: Deployment) -> str:
    name = it.run
    document = {"every_seconds": 5, "template": {"type": "demo.noop", "payload": {}, "tags": [it.run]}}
    answer = it._try(lambda: it.gateway.put(f"/v1/schedules/{name}", json=document), 6)
    assert answer.status_code in (200, 201), answer.text[:300]
    try:
        seconds = wait_until("its first job is there", lambda: it.get(f"/v1/schedules/{name}").get("last_job_id") is not None, timeout=60)
        it.ended([it.get(f"/v1/schedules/{name}")["last_job_id"]])
    finally:
        it._try(lambda: it.gateway.delete(f"/v1/schedules/{name}"), 6)
    return f"{seconds:.1f} s after it was made"


def a_paused_queue_holds(it: Deployment) -> str:
    it.post("/v1/queues/bulk/pause", {"reason": "the gate looks whether it holds"})
    try:
        job_id = it.submit("demo.noop", {}, queue="bulk")
        time.sleep(2.0)  # what would start it is given the time to
        job = it.job(job_id)
        assert job["status"] == "queued" and "paused" in (job.get("why_waiting") or ""), f"{job['status']}: {job.get('why_waiting')}"
    finally:
        it.post("/v1/queues/bulk/resume")
    it.ended([job_id])
    return job["why_waiting"]


def a_container_of_its_own_is_woken_for_a_job(it: Deployment) -> str:
    url = f"http://word-count.{NAMESPACE}.svc.cluster.local/"
    was_there = len(it.pods("word-count"))
    job = it.ended([it.submit("http.call", {"url": url, "body": {"text": "to be or not to be"}}, queue="io")], timeout=90)[0]
    assert job["status"] == "succeeded", f"{job['status']}: {job.get('error')}"
    return f"woken from {was_there} pods"


def a_foreign_task_runs(it: Deployment) -> str:
    """A package that `make deploy TASKS=...` built in: the example's, where it is there."""
    types = {task["type"] for task in it.get("/v1/tasks")["items"]}
    if "greetings.hello" not in types:
        return "left out: deploy with TASKS=functions/examples/greetings to have it checked"
    job = it.ended([it.submit("greetings.hello", {"name": "ada", "times": 2})])[0]
    assert job["status"] == "succeeded" and job["result"] == {"text": "hello ada, hello ada", "count": "two"}, str(job)[:300]
    refused = it.post("/v1/jobs", {"type": "greetings.hello", "payload": {"name": 1}})
    assert refused.status_code == 422, f"a payload that breaks its schema: {refused.status_code}"
    return "its own requirement is there, its schema holds"


def every_access_point_opens(it: Deployment) -> str:
    took = {point.name: ports.opens(point, it.addresses[point.name], it.key) for point in ports.present(it.api)}
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())


def each_port_of_a_function_is_the_whole_api(it: Deployment) -> str:
    """One origin for a browser: on each of these ports every operation goes to the function that owns it."""
    points = [point for point in ports.present(it.api) if point.function]
    for point in points:
        with httpx.Client(base_url=it.addresses[point.name], headers=it.gateway.headers, timeout=90.0) as client:
            for method, path, body, status in OF_SEVERAL:
                answer = it._try(lambda client=client, ask=(method, path), body=body: client.request(*ask, json=body), 6)
                assert answer.status_code == status, f"{method} {path} at {point.name}: {answer.status_code} {answer.text[:200]}"
    return ", ".join(point.name for point in points)


CHECKS = (
    the_context_answers,
    every_access_point_opens,
    each_port_of_a_function_is_the_whole_api,
    the_gateway_is_healthy,
    the_read_model_is_healthy,
    every_pod_is_ready,
    three_jobs_are_processed_within_30_seconds,
    events_are_persisted_in_mongodb,
    statistics_are_aggregated,
    the_gateway_tells_metrics,
    cloud_events_are_taken_in_three_modes,
    an_invalid_job_is_refused_with_its_faults,
    refusals_are_counted,
    a_poisoned_job_ends_as_failed,
    what_nobody_can_handle_is_kept_and_replayed,
    a_repeated_submission_is_one_job,
    a_queue_has_its_own_processor,
    a_schedule_fires,
    a_paused_queue_holds,
    a_container_of_its_own_is_woken_for_a_job,
    a_foreign_task_runs,
)
