"""The running deployment as its checks see it: HTTP from outside, the cluster's API, and a hand inside for what no port shows."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from knative.e2e import cluster, ports, tunnel
from knative.e2e.access import NAMESPACE
from knative.e2e.deploy import SERVICES
from knative.e2e.kubectl import Object, wait_until
from knative.e2e.secrets import operator_key
from knative.e2e.stages import StageFailed

ENDED = ("succeeded", "failed", "cancelled")
BROKER = f"http://observatory-broker-ingress.{NAMESPACE}.svc.cluster.local"


class Deployment:
    """`addresses`: of the access points, by name. `run` names this run's jobs by a tag, so that checks count their own alone."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.api = cluster.kubectl().within(NAMESPACE)
        self.run = f"gate-{uuid.uuid4().hex[:8]}"
        self.addresses = addresses
        self.key = operator_key(self.api)
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        self.gateway = httpx.Client(base_url=addresses["gateway"], timeout=90.0, headers=headers)
        self.read_model = httpx.Client(base_url=addresses["read model"], timeout=90.0, headers=headers)

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> "Iterator[Deployment]":
        """The deployment of this cluster, reached for as long as this is open. Raises StageFailed when there is none."""
        ports.is_deployed(cluster.kubectl().within(NAMESPACE))
        with tunnel.addresses(cluster.kubectl().within(NAMESPACE)) as addresses:
            yield cls(addresses)

    # ---- jobs -------------------------------------------------------------------------------------------------

    def submit(self, job_type: str, payload: Any, *, headers: dict[str, str] | None = None, **options: Any) -> str:
        """A job's id; a gateway that is just starting is asked again, under the same key."""
        request = {"type": job_type, "payload": payload, "tags": [self.run], **options}
        keyed = {"idempotency-key": uuid.uuid4().hex, **(headers or {})}
        answer = self.post("/v1/jobs", request, keyed)
        assert answer.status_code in (200, 202), f"the gateway answers {answer.status_code}: {answer.text[:300]}"
        return str(answer.json()["id"])

    def submit_many(self, requests: list[dict[str, Any]]) -> list[str]:
        keyed = [{**request, "tags": [self.run], "idempotency_key": uuid.uuid4().hex} for request in requests]
        items = self.post("/v1/jobs/batch", {"jobs": keyed}).json()["items"]
        assert all(item["status"] == 202 for item in items), f"not all were accepted: {items[:3]}"
        return [item["id"] for item in items]

    def post(self, path: str, document: Any = None, headers: dict[str, str] | None = None, tries: int = 6) -> httpx.Response:
        """POST by the gateway's port; 502 to 504 (it is being woken, or a store is away) are tried again."""
        return self._try(lambda: self.gateway.post(path, json=document, headers=headers or {}), tries)

    def get(self, path: str, tries: int = 6, **parameters: Any) -> Any:
        """The JSON of an address of the read model."""
        answer = self._try(lambda: self.read_model.get(path, params=parameters), tries)
        assert answer.status_code == 200, f"{path} answers {answer.status_code}: {answer.text[:300]}"
        return answer.json()

    @staticmethod
    def _try(ask: Any, tries: int) -> httpx.Response:
        for number in range(tries):
            try:
                answer: httpx.Response = ask()
                if answer.status_code not in (502, 503, 504):
                    return answer
                fault = f"{answer.status_code} {answer.text[:200]}"
            except httpx.TransportError as error:
                fault = str(error) or type(error).__name__
            time.sleep(min(2.0**number * 0.25, 4.0))
        raise StageFailed(f"no answer after {tries} tries, the last: {fault}", f"kubectl -n {NAMESPACE} get pods")

    def job(self, job_id: str) -> Any:
        return self.get(f"/v1/jobs/{job_id}")

    def ended(self, job_ids: list[str], timeout: float = 60.0) -> list[Any]:
        """The jobs, once each has ended."""
        jobs: dict[str, Any] = {}

        def all_ended() -> bool:
            for job_id in job_ids:
                if job_id not in jobs:
                    job = self.job(job_id)
                    if job["status"] not in ENDED:
                        return False
                    jobs[job_id] = job
            return True

        def left() -> str:
            return "\n".join(f"job {job_id}: {self.job(job_id)['status']}" for job_id in job_ids if job_id not in jobs)

        wait_until(f"{len(job_ids)} jobs end", all_ended, timeout=timeout, look=lambda: left()[:1000] + "\n" + self.api.hints())
        return [jobs[job_id] for job_id in job_ids]

    def events(self, job_id: str) -> list[Any]:
        items: list[Any] = self.get(f"/v1/jobs/{job_id}/events")["items"]
        return items

    def publish_broken(self, event_id: str) -> None:
        """An event that no function can handle, by the Broker itself."""
        assert self._send_broken(BROKER, event_id) == 202, "the Broker does not take an event"

    def give_up(self, trigger: str, event_id: str) -> None:
        """An event as the Broker brings it to the dead-letter sink of a Trigger."""
        status = self._send_broken(f"http://dead-letter.{NAMESPACE}.svc.cluster.local/triggers/{trigger}", event_id, "'ce-knativeerrorcode': '422', ")
        assert status in (200, 202), f"dead-letter answers {status}"

    def _send_broken(self, address: str, event_id: str, more: str = "") -> int:
        code = (
            "import httpx, json; answer = httpx.post("
            f"'{address}', content=b'{{\"from\": 1}}', headers={{'ce-specversion': '1.0', 'ce-id': '{event_id}', 'ce-source': '/gate', "
            f"'ce-type': 'dev.observatory.job.queued.v1', 'ce-queue': 'default', {more}'content-type': 'application/json'}}, timeout=30); "
            "print(json.dumps(answer.status_code))"
        )
        status: int = self.inside(code)
        return status

    def letters(self, event_id: str) -> list[Any]:
        return [letter for letter in self.get("/v1/dead-letters", limit=50)["items"] if letter["event_id"] == event_id]

    # ---- the cluster ------------------------------------------------------------------------------------------

    def pods(self, service: str = "") -> list[Object]:
        """Pods that live: of a function, or all."""
        words = ["pods", *(["-l", f"serving.knative.dev/service={service}"] if service else [])]
        return [pod for pod in self.api.items(*words) if pod["metadata"].get("deletionTimestamp") is None and pod["status"]["phase"] in ("Running", "Pending")]

    def functions(self) -> list[Object]:
        return self.api.items(SERVICES)

    def inside(self, code: str, timeout: float = 60.0) -> Any:
        """What a line of Python prints as JSON within the pod that is always there, with its settings and libraries."""
        pod = self.pods("dead-letter")[0]["metadata"]["name"]
        return json.loads(self.api("exec", pod, "-c", "user-container", "--", "python", "-c", code, timeout=timeout))

    def at_zero(self, service: str, timeout: float = 180.0) -> None:
        """Waits until a function has no pod."""
        wait_until(f"{service} goes to zero", lambda: not self.pods(service), timeout=timeout, every=1.0, look=self.api.hints)
