"""The checks that break things, and what must hold afterwards. They refuse a namespace that is not labelled for it."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from knative.e2e.checks.deployment import Deployment
from knative.e2e.checks.gate import BOTH, are_settled, both_are_kept
from knative.e2e.deploy import BREAKABLE
from knative.e2e.kubectl import Kubectl, is_ready, wait_until
from knative.e2e.stages import StageFailed

SLEEPERS = ("gateway", "processor", "metrics-engine", "read-model")
FLOW = 200
SPOOLED = "import json, os, pathlib; print(json.dumps(len(list(pathlib.Path(os.environ['OBSERVATORY_SPOOL']).glob('*.letter')))))"


def allow_breaking(api: Kubectl) -> None:
    """Raises StageFailed unless the namespace says that it may be broken."""
    there = api.exists("namespace", api.namespace)
    if not there or api.get("namespace", api.namespace)["metadata"].get("labels", {}).get(BREAKABLE) != "yes":
        raise StageFailed(
            f"the namespace {api.namespace} is not {f'labelled {BREAKABLE}=yes' if there else 'there'}, so nothing is broken",
            f"if it may be: {'' if there else 'make up, then '}kubectl label namespace {api.namespace} {BREAKABLE}=yes; `make gate` alone harms nothing",
        )


def a_killed_processor_costs_no_job(it: Deployment) -> str:
    """The pod that runs a job is killed in the middle of it: the job ends once, by another attempt."""
    job_id = it.submit("demo.sleep", {"seconds": 6}, max_attempts=3)
    wait_until("it runs", lambda: it.job(job_id)["status"] == "running", timeout=60)
    time.sleep(1.0)  # into the middle of the handler
    killed = [pod["metadata"]["name"] for pod in it.pods("processor")]
    it.api("delete", "pod", *killed, "--grace-period=0", "--force", timeout=60)
    began = time.monotonic()
    job = it.ended([job_id], timeout=180)[0]
    ends = [event for event in it.events(job_id) if event["data"].get("to") in ("succeeded", "failed", "cancelled")]
    assert job["status"] == "succeeded" and len(ends) == 1, f"{job['status']}, {len(ends)} ends"
    return f"ended once, attempt {job['attempt']}, {time.monotonic() - began:.0f} s after the kill"


def rabbitmq_restarts_while_200_jobs_flow(it: Deployment) -> str:
    job_ids = _flow(it, lambda: it.api("rollout", "restart", "statefulset/rabbitmq"))
    it.api("rollout", "status", "statefulset/rabbitmq", "--timeout=180s", timeout=200)
    return _all_succeed(it, job_ids)


def rabbitmq_loses_all_its_data_while_jobs_wait(it: Deployment) -> str:
    """The broker is only a doorbell: with its queues, its bindings and its users gone, what waits still ends."""
    it.post("/v1/queues/bulk/pause", {"reason": "RabbitMQ loses its data"})
    job_ids = it.submit_many([{"type": "demo.noop", "payload": {}, "queue": "bulk"} for _ in range(50)])
    it.api("exec", "rabbitmq-0", "--", "sh", "-c", "rabbitmqctl stop_app && rabbitmqctl force_reset && rabbitmqctl start_app", timeout=120)
    it.post("/v1/queues/bulk/resume")
    words = _all_succeed(it, job_ids, timeout=240)
    seconds = wait_until("the Broker and its Triggers are ready again", lambda: _broker_is_whole(it), timeout=240, every=2.0, look=it.api.hints)
    return f"{words}; the Broker was whole again after {seconds:.0f} s more"


def _broker_is_whole(it: Deployment) -> bool:
    """Every queue that the cluster knows of is there in RabbitMQ, and somebody takes what is in it."""
    listed = it.api("exec", "rabbitmq-0", "--", "rabbitmqctl", "-q", "--formatter=json", "list_queues", "name", "consumers", timeout=60)
    taken = {queue["name"] for queue in json.loads(listed or "[]") if queue["consumers"]}
    return {queue["spec"]["name"] for queue in it.api.items("queues.rabbitmq.com")} <= taken


def a_new_revision_is_rolled_out_while_200_jobs_flow(it: Deployment) -> str:
    patch = {"spec": {"template": {"metadata": {"annotations": {"observatory.dev/rolled-at": str(time.time())}}}}}

    def roll() -> None:
        for service in ("gateway", "processor", "metrics-engine"):
            it.api("patch", "services.serving.knative.dev", service, "--type=merge", "-p", json.dumps(patch))

    job_ids = _flow(it, roll, {"type": "demo.sleep", "payload": {"seconds": 0.2}})
    words = _all_succeed(it, job_ids)
    burnt = [job["id"] for job in it.ended(job_ids) if job["attempt"] != 1]
    assert not burnt, f"{len(burnt)} jobs needed more than one attempt"
    wait_until("the new revisions are ready", lambda: all(is_ready(each) for each in it.functions()), timeout=180, look=it.api.hints)
    return f"{words}, no attempt burnt"


def _flow(it: Deployment, disturb: Callable[[], Any], request: dict[str, Any] | None = None) -> list[str]:
    """Submits 200 jobs in 20 batches; after a quarter of them something happens, while the rest goes on."""
    wanted = request or {"type": "demo.sleep", "payload": {"seconds": 0.05}}
    job_ids: list[str] = []
    happening = None
    for number in range(20):
        job_ids += it.submit_many([wanted] * (FLOW // 20))
        if number == 5:
            happening = threading.Thread(target=disturb)
            happening.start()
    assert happening is not None
    happening.join(120)
    return job_ids


def _all_succeed(it: Deployment, job_ids: list[str], timeout: float = 240.0) -> str:
    began = time.monotonic()
    states = [job["status"] for job in it.ended(job_ids, timeout=timeout)]
    assert states.count("succeeded") == len(job_ids), f"of {len(job_ids)} jobs {states.count('succeeded')} succeeded"
    return f"all {len(job_ids)} succeeded, {time.monotonic() - began:.0f} s after the last submission"


def idle_functions_go_to_zero_and_wake(it: Deployment) -> str:
    """Each of the four goes to zero by itself; one request wakes gateway and read model, one event the other two."""
    for service in SLEEPERS:
        it.at_zero(service)
    woken = {}
    began = time.monotonic()
    it.get("/v1/queues")
    woken["read-model"] = time.monotonic() - began
    began = time.monotonic()
    job_id = it.submit("demo.noop", {})
    woken["gateway"] = time.monotonic() - began
    it.ended([job_id], timeout=90)
    woken["processor"] = time.monotonic() - began
    wait_until("an event wakes the metrics engine", lambda: bool(it.pods("metrics-engine")), timeout=60)
    woken["metrics-engine"] = time.monotonic() - began
    return "woken: " + ", ".join(f"{service} {seconds:.1f} s" for service, seconds in woken.items())


def a_dead_letter_outlives_an_absent_postgresql(it: Deployment) -> str:
    """The Broker asks its dead-letter sink once alone, so the function keeps in its own folder what its store cannot take. That the
    Broker brings letters there is the gate's; here they are brought as it does, for without a store the functions that refuse
    events are not ready, and how long the Broker waits for them is its own."""
    event_id = f"{it.run}-homeless"
    it.api("scale", "statefulset/postgres", "--replicas=0")
    try:
        wait_until("PostgreSQL is gone", lambda: not it.api.items("pods", "-l", "app=postgres"), timeout=90)
        began = time.monotonic()
        for trigger in BOTH:
            it.give_up(trigger, event_id)
        spooled = time.monotonic() - began
        assert it.inside(SPOOLED) >= len(BOTH), "they are not in the function's folder"
    finally:
        it.api("scale", "statefulset/postgres", "--replicas=1")
    it.api("rollout", "status", "statefulset/postgres", "--timeout=120s", timeout=140)
    seconds = wait_until("they are in the store", lambda: both_are_kept(it, event_id), timeout=120, look=it.api.hints)
    wait_until("its letters are settled", lambda: are_settled(it, event_id), timeout=60)
    return f"two letters spooled in {spooled:.0f} s, in PostgreSQL {seconds:.0f} s after it was back"


CHECKS = (
    idle_functions_go_to_zero_and_wake,
    a_killed_processor_costs_no_job,
    rabbitmq_restarts_while_200_jobs_flow,
    a_new_revision_is_rolled_out_while_200_jobs_flow,
    rabbitmq_loses_all_its_data_while_jobs_wait,
    a_dead_letter_outlives_an_absent_postgresql,
)
