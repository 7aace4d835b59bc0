"""The cluster's API by kubectl: objects in and out, waiting for conditions, and what to look at when they do not come."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from knative.e2e.shell import attempt, run
from knative.e2e.stages import StageFailed

Object = dict[str, Any]
NO_ANSWER = "`make cluster` makes one; with CLUSTER=existing it is the current context (kubectl config get-contexts)"


class Kubectl:
    """One context (empty: the current one) of the user's configuration."""

    def __init__(self, context: str = "", namespace: str = "") -> None:
        self.context, self.namespace = context, namespace
        self._base = ["kubectl", *(["--context", context] if context else [])]

    def within(self, namespace: str) -> "Kubectl":
        """The same cluster, with this namespace as the default."""
        return Kubectl(self.context, namespace)

    def command(self, *words: str) -> list[str]:
        return [*self._base, *(["-n", self.namespace] if self.namespace else []), *words]

    def __call__(self, *words: str, given: str | None = None, timeout: float = 60.0, look: str = "") -> str:
        return run(self.command(*words), given=given, timeout=timeout, look=look)

    def get(self, *words: str) -> Object:
        """An object, or a list of them, as JSON."""
        found: Object = json.loads(self("get", *words, "-o", "json"))
        return found

    def items(self, *words: str) -> list[Object]:
        found: list[Object] = self.get(*words)["items"]
        return found

    def exists(self, *words: str) -> bool:
        """Raises StageFailed where the cluster does not say."""
        done = attempt(self.command("get", *words, "-o", "name"))
        if done.returncode != 0 and not any(mark in done.stderr for mark in ("(NotFound)", "doesn't have a resource type")):
            raise StageFailed(f"the cluster does not answer: {done.stderr.strip()[-600:]}", NO_ANSWER)
        return done.returncode == 0

    def apply(self, documents: str, *, timeout: float = 120.0) -> None:
        """Server-side, so that it may be said again and again. A webhook that is just starting is waited for."""
        deadline = time.monotonic() + timeout
        while True:
            done = attempt(self.command("apply", "--server-side", "--force-conflicts", "-f", "-"), given=documents, timeout=timeout)
            if done.returncode == 0:
                return
            words = done.stderr.strip()
            passing = any(mark in words for mark in ("failed calling webhook", "connection refused", "no endpoints available", "no matches for kind"))
            if not passing or time.monotonic() > deadline:
                raise StageFailed(f"the cluster refuses an object: {words[-1200:]}")
            time.sleep(1.0)

    def wait(self, condition: str, *what: str, timeout: float = 180.0) -> None:
        """Until each of these objects has the condition. Raises StageFailed naming what to look at."""
        done = attempt(self.command("wait", f"--for={condition}", *what, f"--timeout={timeout:.0f}s"), timeout=timeout + 15)
        if done.returncode != 0:
            raise StageFailed(f"not {condition} within {timeout:.0f} s: {done.stderr.strip()[-600:]}", self.hints())

    def hints(self) -> str:
        """What goes wrong in the namespace: pods that are not ready, with their last words; the newest warnings."""
        lines = []
        for pod in json.loads(attempt(self.command("get", "pods", "-o", "json")).stdout or '{"items": []}')["items"]:
            for condition in pod.get("status", {}).get("conditions", []):
                if condition["type"] == "PodScheduled" and condition["status"] != "True":
                    lines.append(f"pod {pod['metadata']['name']} has no node: {condition.get('message', '')[:200]}")
            for status in pod.get("status", {}).get("containerStatuses", []):
                if not status.get("ready"):
                    name, container = pod["metadata"]["name"], status["name"]
                    state = status.get("state", {})
                    why = next((part.get("reason", "") for part in state.values() if isinstance(part, dict)), "")
                    lines.append(f"pod {name}, container {container}: {why}")
                    log = attempt(self.command("logs", name, "-c", container, "--tail=5")).stdout.strip()
                    lines.extend(f"    {line[:200]}" for line in log.splitlines())
        warnings = attempt(self.command("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp", "-o",
                                        "custom-columns=WHAT:.involvedObject.name,WHY:.message", "--no-headers")).stdout  # fmt: skip
        lines.extend(f"event {line[:220]}" for line in warnings.strip().splitlines()[-5:])
        where = f"-n {self.namespace} " if self.namespace else ""
        return "\n".join([*lines[:40], f"look at: kubectl {where}get pods; kubectl {where}get events --sort-by=.lastTimestamp"])


def wait_until(what: str, met: Callable[[], bool], *, timeout: float, every: float = 0.5, look: Callable[[], str] = lambda: "") -> float:
    """Polls until a condition is met; the seconds that it took. Raises StageFailed."""
    began = time.monotonic()
    while not met():
        if time.monotonic() - began > timeout:
            raise StageFailed(f"{what}: not within {timeout:.0f} s", look())
        time.sleep(every)
    return time.monotonic() - began


def is_ready(thing: Object, condition: str = "Ready") -> bool:
    """Whether an object with conditions says so of its present generation."""
    status = thing.get("status", {})
    if status.get("observedGeneration", thing["metadata"].get("generation")) != thing["metadata"].get("generation"):
        return False
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", []))


def names(things: Sequence[Object]) -> list[str]:
    return [thing["metadata"]["name"] for thing in things]
