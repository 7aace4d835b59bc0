"""Alerts: the table of thresholds, and the life of an alert as a pure function of what is measured.

An alert is raised once its value has been above `above` for `hold_seconds`, and is over once it has been at or below `below`
for `calm_seconds`: what swings around a threshold is told once, not again and again. While it is raised its severity
only grows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from contracts.errors import ConfigurationError
from contracts.event_types import ALERT_RAISED, ALERT_RESOLVED
from contracts.times import optional_rfc3339, seconds_between, to_micros, to_rfc3339

WARNING, CRITICAL = "warning", "critical"
PENDING, RAISED = "pending", "raised"
CALM_SECONDS = 60.0
OFF = "off"


@dataclass(frozen=True, slots=True)
class Rule:
    """One threshold. `subject` says what an alert of it is about; `evidence` is the address of what it rests on and `mend` what
    to do, both with `{subject}`. Beyond `critical` (None: never) it is critical."""

    name: str
    subject: str
    means: str
    above: float
    below: float
    evidence: str
    mend: str
    critical: float | None = None
    hold_seconds: float = 0.0
    is_part: bool = False  # of 1, beyond which nothing goes

    def severity(self, value: float) -> str:
        return CRITICAL if self.critical is not None and value > self.critical else WARNING

    def at(self, above: float) -> "Rule":
        """The same with another threshold; the others keep their proportion to it."""
        part = above / self.above if self.above else None
        below = self.below * part if part is not None else above
        critical = self.critical
        if critical is not None:
            critical = max(critical, above) if self.is_part or part is None else critical * part
        return replace(self, above=above, below=below, critical=critical)


TABLE = (
    Rule("failure-rate", "task type", "part of the jobs that ended in the last 5 minutes and failed (from 5 failures on)", 0.1, 0.05,
         "/v1/jobs?state=failed&type={subject}", "Look at the errors; retry what failed once the cause is gone.", critical=0.5, is_part=True),
    Rule("queue-age", "queue", "seconds that the next job has waited", 60.0, 30.0, "/v1/jobs?state=queued&queue={subject}",
         "More workers (OBSERVATORY_WORKERS), a higher limit of the queue, or fewer jobs.", critical=600.0, hold_seconds=15.0),
    Rule("no-worker", "queue", "seconds in which nobody took a job although none runs", 20.0, 0.0, "/v1/jobs?state=queued&queue={subject}",
         "See whether the processor of the queue runs, and what it logs.", critical=20.0, hold_seconds=10.0),
    Rule("no-progress", "queue", "seconds without any begin or end, while jobs run and others wait", 600.0, 0.0,
         "/v1/jobs?state=running&queue={subject}", "See what the running jobs do; cancel those that hang.", hold_seconds=15.0),
    Rule("dead-letters", "status", "dead letters that nobody has replayed or discarded", 0.0, 0.0, "/v1/dead-letters?status={subject}",
         "Replay them once the cause is gone, or discard them with a reason."),
    Rule("dead-letters-growing", "status", "dead letters of the last 5 minutes", 10.0, 0.0, "/v1/dead-letters?status={subject}",
         "Mend what cannot handle the events: their reasons say which Trigger and why.", critical=10.0),
    Rule("refusals", "task type", "requests refused in the last 5 minutes", 50.0, 25.0, "/v1/contracts",
         "Compare the samples with the contract; tell who sends them.", critical=5_000.0),
    Rule("feed-lag", "reader", "seconds that a reader is behind the feed", 30.0, 10.0, "/v1/stats",
         "See whether the metrics engine or the relay runs, and what it logs.", critical=300.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """A value above its rule's `below`, in words. What is not found is calm."""

    rule: str
    subject: str
    value: float
    summary: str

    @property
    def id(self) -> str:
        return f"{self.rule}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept. `since` is when its value went above, `raised_at` when that was told (None: pending),
    `calm_since` when it fell to `below` or under (None: it has not). Instants in microseconds."""

    name: str
    subject: str
    severity: str
    value: float
    threshold: float
    summary: str
    since: int
    raised_at: int | None = None
    calm_since: int | None = None

    @property
    def id(self) -> str:
        return f"{self.name}/{self.subject}"

    @property
    def status(self) -> str:
        if self.raised_at is None:
            return PENDING
        return RAISED if self.calm_since is None else "calming"


@dataclass(slots=True)
class Judgement:
    """What became of the alerts: rows to keep (None: to drop), events in order, when to look again."""

    changed: dict[str, Alert | None] = field(default_factory=dict)
    told: list[tuple[str, Alert, dict[str, Any]]] = field(default_factory=list)  # event type, alert, data
    next_at: int | None = None

    def look_at(self, at: int) -> None:
        self.next_at = at if self.next_at is None else min(self.next_at, at)


Judge = Callable[[Mapping[str, Alert], int], Judgement]
"""Kept alerts by id and the store's time in, what becomes of them out. Pure."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The thresholds that hold here."""

    table: tuple[Rule, ...] = TABLE
    calm_seconds: float = CALM_SECONDS

    def get(self, name: str) -> Rule | None:
        """The rule of that name; None when it is switched off."""
        return next((rule for rule in self.table if rule.name == name), None)

    # ---- the life of an alert -----------------------------------------------------------------------------------

    def judge(self, findings: Iterable[Finding], known: Mapping[str, Alert], now: int) -> Judgement:
        """What becomes of the kept alerts by what is found now."""
        found = {finding.id: finding for finding in findings}
        done = Judgement()
        for key in sorted({*found, *known}):
            self._judge_one(done, known.get(key), found.get(key), now)
        return done

    def _judge_one(self, done: Judgement, alert: Alert | None, finding: Finding | None, now: int) -> None:
        rule = self.get(finding.rule if finding is not None else alert.name if alert is not None else "")
        value = 0.0 if finding is None or rule is None else finding.value
        if alert is not None and alert.raised_at is not None:
            self._judge_raised(done, alert, finding if rule is not None and value > rule.below else None, now)
        elif finding is not None and rule is not None and value > rule.above:
            self._judge_above(done, alert or _begun(rule, finding, now), rule, finding, now, new=alert is None)
        elif alert is not None:
            done.changed[alert.id] = None

    @staticmethod
    def _judge_above(done: Judgement, alert: Alert, rule: Rule, finding: Finding, now: int, *, new: bool) -> None:
        due = alert.since + to_micros(rule.hold_seconds)
        if now >= due:
            raised = replace(_begun(rule, finding, alert.since), raised_at=now)
            done.changed[alert.id] = raised
            done.told.append((ALERT_RAISED, raised, raised_data(raised, rule)))
            return
        done.look_at(due)
        if new:
            done.changed[alert.id] = alert

    def _judge_raised(self, done: Judgement, alert: Alert, finding: Finding | None, now: int) -> None:
        if finding is None:
            self._judge_calm(done, alert, now)
            return
        rule = self.get(finding.rule)
        assert rule is not None
        if alert.severity == WARNING and rule.severity(finding.value) == CRITICAL:
            worse = replace(alert, severity=CRITICAL, value=finding.value, summary=finding.summary, calm_since=None)
            done.changed[alert.id] = worse
            done.told.append((ALERT_RAISED, worse, raised_data(worse, rule)))
        elif alert.calm_since is not None:
            done.changed[alert.id] = replace(alert, calm_since=None)

    def _judge_calm(self, done: Judgement, alert: Alert, now: int) -> None:
        since = now if alert.calm_since is None else alert.calm_since
        due = since + to_micros(self.calm_seconds)
        if now >= due:
            done.changed[alert.id] = None
            done.told.append((ALERT_RESOLVED, alert, resolved_data(alert, now)))
            return
        done.look_at(due)
        if alert.calm_since is None:
            done.changed[alert.id] = replace(alert, calm_since=since)

    # ---- showing ------------------------------------------------------------------------------------------------

    def shown(self, findings: Iterable[Finding], known: Mapping[str, Alert], now: int) -> list[dict[str, Any]]:
        """Every alert there is, with the values of now; the critical ones first, then those that are raised."""
        found = {finding.id: finding for finding in findings}
        alerts = [self._as_of_now(key, known.get(key), found.get(key), now) for key in sorted({*found, *known})]
        ranks = {RAISED: 0, PENDING: 2}
        documents = [self.document(alert) for alert in alerts if alert is not None]
        return sorted(documents, key=lambda alert: (alert["severity"] != CRITICAL, ranks.get(alert["status"], 1), alert["id"]))

    def _as_of_now(self, key: str, alert: Alert | None, finding: Finding | None, now: int) -> Alert | None:
        rule = self.get(key.partition("/")[0])
        if finding is None or rule is None:
            return alert if alert is not None and alert.raised_at is not None else None
        if alert is None:
            return _begun(rule, finding, now) if finding.value > rule.above else None
        severity = CRITICAL if CRITICAL in (alert.severity, rule.severity(finding.value)) else WARNING
        return replace(alert, severity=severity, value=finding.value, summary=finding.summary)

    def document(self, alert: Alert) -> dict[str, Any]:
        """An alert as it is answered."""
        rule = self.get(alert.name)
        return {
            "id": alert.id,
            "name": alert.name,
            "subject": alert.subject,
            "severity": alert.severity,
            "status": alert.status,
            "summary": alert.summary,
            "value": alert.value,
            "threshold": alert.threshold,
            "evidence": evidence(rule, alert) if rule is not None else None,
            "mend": rule.mend if rule is not None else None,
            "since": to_rfc3339(alert.since),
            "raised_at": optional_rfc3339(alert.raised_at),
            "calm_since": optional_rfc3339(alert.calm_since),
        }


def _begun(rule: Rule, finding: Finding, since: int) -> Alert:
    severity = rule.severity(finding.value)
    return Alert(rule.name, finding.subject, severity, finding.value, rule.above, finding.summary, since)


def evidence(rule: Rule, alert: Alert) -> str:
    """The address of what an alert rests on."""
    return rule.evidence.format(subject=quote(alert.subject, safe=""))


def raised_data(alert: Alert, rule: Rule) -> dict[str, Any]:
    """What `alert.raised` says."""
    return {
        "id": alert.id,
        "name": alert.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "summary": alert.summary,
        "value": alert.value,
        "threshold": alert.threshold,
        "evidence": evidence(rule, alert),
        "mend": rule.mend,
        "since": to_rfc3339(alert.since),
    }


def resolved_data(alert: Alert, now: int) -> dict[str, Any]:
    """What `alert.resolved` says; `summary` is what was told when it was raised."""
    return {
        "id": alert.id,
        "name": alert.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "summary": alert.summary,
        "raised_at": optional_rfc3339(alert.raised_at),
        "lasted_seconds": seconds_between(alert.since, now),
    }


def parse_rules(text: str) -> Rules:
    """The rules of `queue-age=300,refusals=off,calm=30`: what is not named stays as it is in the table. Raises ConfigurationError."""
    found = {rule.name: rule for rule in TABLE}
    calm = CALM_SECONDS
    for entry in (part.strip() for part in text.split(",")):
        if not entry:
            continue
        name, _, value = (part.strip() for part in entry.partition("="))
        if name == "calm":
            calm = _number(entry, value)
        elif name not in found:
            raise _unusable(entry, f"there is no such alert; known are {', '.join(sorted(found))}, and calm")
        elif value == OFF:
            del found[name]
        else:
            found[name] = found[name].at(_number(entry, value))
    return Rules(tuple(found.values()), calm)


def _number(entry: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e12:
        raise _unusable(entry, f"it takes a number from 0, or {OFF}")
    return number


def _unusable(entry: str, words: str) -> ConfigurationError:
    return ConfigurationError(f"OBSERVATORY_ALERTS has {entry[:80]!r}: {words}")

