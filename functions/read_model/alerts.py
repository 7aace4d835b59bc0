"""What deserves a person's attention: thresholds over the statistics and the queues."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.statistics import Figures
from contracts.times import MICROSECONDS
from functions.stores.job_store import QueueState


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Beyond which an alert is raised."""

    failure_rate: float = 0.1
    failures_least: int = 5
    refusals: int = 50
    lag_events: int = 5_000
    queue_age_seconds: float = 60.0
    idle_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `evidence` is the address of what it rests on."""

    name: str
    subject: str
    severity: str  # warning | critical
    summary: str
    value: float
    threshold: float
    evidence: str

    def as_json(self) -> dict[str, Any]:
        return {
            "id": f"{self.name}/{self.subject}",
            "name": self.name,
            "subject": self.subject,
            "severity": self.severity,
            "summary": self.summary,
            "value": self.value,
            "threshold": self.threshold,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Situation:
    """What alerts are computed from: figures of the last five minutes, queues, dead letters by status, lag in events."""

    now: int
    recent: Figures
    queues: Sequence[QueueState]
    dead_letters: Mapping[str, int]
    lag: int


def alerts(situation: Situation, thresholds: Thresholds | None = None) -> list[Alert]:
    """Every alert, the critical ones first."""
    limits = thresholds or Thresholds()
    found = [*_failures(situation, limits), *_queues(situation, limits), *_dead_letters(situation), *_system(situation, limits)]
    return sorted(found, key=lambda alert: (alert.severity != "critical", alert.name, alert.subject))


def _failures(situation: Situation, limits: Thresholds) -> Iterable[Alert]:
    for job_type, figures in sorted(situation.recent.by_type().items()):
        failed, succeeded = figures.total("failed"), figures.total("succeeded")
        rate = failed / (failed + succeeded) if failed else 0.0
        if failed >= limits.failures_least and rate > limits.failure_rate:
            summary = f"{failed} of {failed + succeeded} jobs of type {job_type} failed in the last 5 minutes."
            severity = "critical" if rate > 0.5 else "warning"
            evidence = f"/v1/jobs?state=failed&type={job_type}"
            yield Alert("failure-rate", job_type, severity, summary, round(rate, 4), limits.failure_rate, evidence)


def _queues(situation: Situation, limits: Thresholds) -> Iterable[Alert]:
    for queue in situation.queues:
        if queue.paused or not queue.depth or queue.oldest_queued_at is None:
            continue
        age = (situation.now - queue.oldest_queued_at) / MICROSECONDS
        evidence = f"/v1/jobs?state=queued&queue={queue.name}"
        if queue.running == 0 and age > limits.idle_seconds:
            summary = f"No worker has taken a job of queue {queue.name} for {age:.0f} s, and {queue.depth} are queued."
            yield Alert("no-worker", queue.name, "critical", summary, round(age, 3), limits.idle_seconds, evidence)
        elif age > limits.queue_age_seconds:
            summary = f"The next job of queue {queue.name} has waited for {age:.0f} s, with {queue.depth} queued."
            yield Alert("queue-age", queue.name, "warning", summary, round(age, 3), limits.queue_age_seconds, evidence)


def _dead_letters(situation: Situation) -> Iterable[Alert]:
    kept = situation.dead_letters.get("kept", 0)
    if kept:
        words = "One event was put aside that no function could handle" if kept == 1 else f"{kept} events that no function could handle lie"
        yield Alert("dead-letters", "kept", "warning", f"{words} among the dead letters.", kept, 0, "/v1/dead-letters?status=kept")


def _system(situation: Situation, limits: Thresholds) -> Iterable[Alert]:
    if situation.lag > limits.lag_events:
        summary = f"The statistics are {situation.lag} events behind the feed."
        yield Alert("feed-lag", "statistics", "warning", summary, situation.lag, limits.lag_events, "/v1/stats")
    refused = situation.recent.total("refused")
    if refused > limits.refusals:
        summary = f"{refused} requests were refused in the last 5 minutes."
        yield Alert("refusals", "contracts", "warning", summary, refused, limits.refusals, "/v1/contracts")
