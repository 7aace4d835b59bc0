"""`make demo-scale`: watches pods, queue depth and throughput while a burst arrives, drains, and everything goes back to zero.

Pods come from the Kubernetes API, depths from RabbitMQ, throughput from how the counts there move; no function is asked,
so nothing is woken by being watched. The burst itself is one batch by the gateway.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from knative.e2e import deploy
from knative.e2e.access import NAMESPACE
from knative.e2e.checks.deployment import Deployment
from knative.e2e.shell import ROOT
from knative.e2e.stages import Progress

FILE = ROOT / ".cluster" / "scale.jsonl"
WATCHED = ("gateway", "processor", "processor-io", "metrics-engine", "read-model", "scheduler", "dead-letter", "word-count")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the start, pods by function, messages waiting in RabbitMQ, events delivered a second."""

    seconds: float
    pods: dict[str, int]
    waiting: int
    delivered_per_second: float
    phase: str


def sample(it: Deployment, began: float, before: tuple[float, int] | None, phase: str) -> tuple[Sample, tuple[float, int]]:
    """A sample, and what the next one needs to tell a rate."""
    pods = it.pods()
    counted = {name: sum(pod["metadata"]["labels"].get("serving.knative.dev/service") == name for pod in pods) for name in WATCHED}
    waiting, acknowledged = _queues(it)
    now = time.monotonic()
    rate = 0.0 if before is None or now <= before[0] else max(acknowledged - before[1], 0) / (now - before[0])
    return Sample(round(now - began, 1), counted, waiting, round(rate, 1), phase), (now, acknowledged)


def _queues(it: Deployment) -> tuple[int, int]:
    """Messages that wait or are being delivered, and messages acknowledged since RabbitMQ's start, by its own metrics."""
    text = it.api("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/rabbitmq-0:15692/proxy/metrics", timeout=30)
    return total_of(text, "rabbitmq_queue_messages"), total_of(text, "rabbitmq_global_messages_acknowledged_total")


def total_of(text: str, name: str) -> int:
    """The sum of a metric's samples in Prometheus' text format."""
    return sum(int(float(line.rpartition(" ")[2])) for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] == name)


def watch(it: Deployment, jobs: int, limit_seconds: float = 300.0) -> Iterator[Sample]:
    """Samples each second: idle, burst, drain, back at zero. Ends when all idle functions are at zero again."""
    began, before, phase = time.monotonic(), None, "before"
    burst_at = None
    while time.monotonic() - began < limit_seconds:
        seen, before = sample(it, began, before, phase)
        yield seen
        working = seen.pods["processor"] + seen.pods["gateway"] + seen.pods["metrics-engine"]
        if phase == "before" and (working == 0 or seen.seconds > 60):
            it.submit_many([{"type": "demo.sleep", "payload": {"seconds": 0.2}} for _ in range(jobs)])
            phase, burst_at = "burst", seen.seconds
        elif phase == "burst" and seen.waiting == 0 and burst_at is not None and seen.seconds > burst_at + 5:
            phase = "drained"
        elif phase == "drained" and working == 0:
            return
        time.sleep(1.0)


def demo_scale(progress: Progress, it: Deployment, jobs: int = 300) -> None:
    """Shows the table live and keeps the samples in a file, one JSON object a line."""
    deploy.WORK.mkdir(exist_ok=True)
    short = {"processor-io": "proc-io", "metrics-engine": "metrics", "read-model": "read", "dead-letter": "dead", "word-count": "words"}
    progress.say("seconds  phase    " + "  ".join(f"{short.get(name, name):>9}" for name in WATCHED) + "   waiting  events/s")
    with Path(FILE).open("w") as kept:
        for seen in watch(it, jobs):
            kept.write(json.dumps(asdict(seen)) + "\n")
            kept.flush()
            if progress.as_json:
                print(json.dumps(asdict(seen)), flush=True)
                continue
            bars = "  ".join(f"{'▪' * min(seen.pods[name], 6) or '·':>9}" for name in WATCHED)
            progress.say(f"{seen.seconds:7.1f}  {seen.phase:<8} {bars}  {seen.waiting:8d}  {seen.delivered_per_second:8.1f}")
    progress.say(f"samples: {FILE.relative_to(ROOT)}")
