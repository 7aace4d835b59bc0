"""The thresholds, and an alert's life: raised once it lasts, over once it is calm for a while, told once in between."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import TABLE, Alert, Finding, Judgement, Rules, parse_rules
from contracts.errors import ConfigurationError
from contracts.event_types import ALERT_RAISED, ALERT_RESOLVED

SECOND = 1_000_000
NOW = 1_795_000_000_000_000
RULES = Rules()


class Life:
    """Alerts over time, as a store would keep them."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.now = rules, NOW
        self.kept: dict[str, Alert] = {}
        self.told: list[str] = []

    def at(self, seconds: float, *found: Finding) -> Judgement:
        self.now = NOW + round(seconds * SECOND)
        judgement = self.rules.judge(found, self.kept, self.now)
        for key, alert in judgement.changed.items():
            self.kept.pop(key, None)
            if alert is not None:
                self.kept[key] = alert
        self.told += [event_type for event_type, _, _ in judgement.told]
        return judgement


def rate(value: float) -> Finding:
    return Finding("failure-rate", "demo.fail", value, f"{value:.0%} failed.")


def age(value: float) -> Finding:
    return Finding("queue-age", "bulk", value, f"It waits for {value:g} s.")


def test_a_value_beyond_its_threshold_is_told_once() -> None:
    life = Life()
    (told,) = life.at(0, rate(0.2)).told
    assert told[0] == ALERT_RAISED
    assert told[2] == {
        "id": "failure-rate/demo.fail", "name": "failure-rate", "subject": "demo.fail", "severity": "warning", "summary": "20% failed.",
        "value": 0.2, "threshold": 0.1, "evidence": "/v1/jobs?state=failed&type=demo.fail", "since": "2026-11-18T11:06:40.000000Z",
        "mend": "Look at the errors; retry what failed once the cause is gone."}  # fmt: skip
    for second in range(1, 10):
        life.at(second, rate(0.2))
    assert life.told == [ALERT_RAISED]


def test_a_value_at_its_threshold_is_none() -> None:
    assert Life().at(0, rate(0.1)).told == []


def test_what_does_not_last_is_never_told() -> None:
    life = Life()
    assert life.at(0, age(61)).next_at == NOW + 15 * SECOND
    assert life.kept["queue-age/bulk"].status == "pending"
    life.at(14, age(75))
    life.at(14.5, age(3))
    assert (life.told, life.kept) == ([], {})
    life.at(20, age(61))
    life.at(34, age(75))  # it counts from its own begin
    assert life.told == []
    life.at(35, age(76))
    assert life.told == [ALERT_RAISED]
    assert life.kept["queue-age/bulk"].since == NOW + 20 * SECOND


def test_it_is_over_once_it_has_been_calm_for_a_while() -> None:
    life = Life()
    life.at(0, rate(0.2))
    life.at(10, rate(0.08))  # below the threshold, and not calm yet
    assert life.kept["failure-rate/demo.fail"].status == "raised"
    assert life.at(20, rate(0.04)).next_at == NOW + 80 * SECOND
    assert life.kept["failure-rate/demo.fail"].status == "calming"
    life.at(79)
    assert life.told == [ALERT_RAISED]
    ((event_type, _, data),) = life.at(80).told
    assert (event_type, data["lasted_seconds"], data["summary"]) == (ALERT_RESOLVED, 80.0, "20% failed.")
    assert life.kept == {}


def test_what_swings_around_its_threshold_is_told_once() -> None:
    life = Life()
    for step in range(200):
        life.at(step * 20, *([rate(0.3)] if step % 3 == 0 else [rate(0.07)] if step % 3 == 1 else []))
    assert life.told == [ALERT_RAISED]


def test_its_severity_only_grows_and_growing_is_told() -> None:
    life = Life()
    life.at(0, rate(0.2))
    ((_, alert, data),) = life.at(5, rate(0.6)).told
    assert (alert.severity, data["severity"], data["value"]) == ("critical", "critical", 0.6)
    life.at(10, rate(0.2))
    life.at(15, rate(0.7))
    assert life.told == [ALERT_RAISED, ALERT_RAISED]
    life.at(20), life.at(80)
    assert life.told[2:] == [ALERT_RESOLVED]


def test_a_rule_that_is_switched_off_ends_its_alert() -> None:
    life = Life()
    life.at(0, rate(0.2))
    life.rules = parse_rules("failure-rate=off")
    life.at(10, rate(0.9)), life.at(70, rate(0.9))
    assert (life.told, life.kept) == ([ALERT_RAISED, ALERT_RESOLVED], {})


@given(st.lists(st.tuples(st.floats(0, 120), st.sampled_from([None, 10.0, 45.0, 61.0, 700.0])), max_size=40))
def test_begin_and_end_take_turns_whatever_is_measured(steps: list[tuple[float, float | None]]) -> None:
    life, second, raised = Life(), 0.0, False
    for pause, value in steps:
        second += pause
        for event_type, alert, _ in life.at(second, *([age(value)] if value is not None else [])).told:
            assert raised or event_type == ALERT_RAISED
            assert event_type == ALERT_RESOLVED or not raised or alert.severity == "critical"
            raised = event_type == ALERT_RAISED
    assert raised == any(alert.raised_at is not None for alert in life.kept.values())


# ---- shown --------------------------------------------------------------------------------------------------------


def test_what_is_shown_has_the_values_of_now() -> None:
    life = Life()
    life.at(0, rate(0.2), age(70))
    life.at(16, rate(0.3), age(90))
    shown = RULES.shown([rate(0.4), Finding("no-worker", "io", 25.0, "Nobody."), Finding("feed-lag", "relay", 12.0, "late")], life.kept, life.now)
    assert [(alert["id"], alert["severity"], alert["status"], alert["value"]) for alert in shown] == [
        ("no-worker/io", "critical", "pending", 25.0), ("failure-rate/demo.fail", "warning", "raised", 0.4),
        ("queue-age/bulk", "warning", "raised", 90)]  # fmt: skip
    assert shown[1]["evidence"] == "/v1/jobs?state=failed&type=demo.fail"


def test_subjects_are_quoted_in_addresses() -> None:
    (alert,) = RULES.shown([Finding("queue-age", "a&b=c d", 99.0, "x")], {}, NOW)
    assert alert["evidence"] == "/v1/jobs?state=queued&queue=a%26b%3Dc%20d"


# ---- settings -----------------------------------------------------------------------------------------------------


def test_thresholds_are_set_by_name_and_keep_their_proportions() -> None:
    rules = parse_rules("queue-age=600, refusals=off,dead-letters=5 ,calm=5")
    by_name = {rule.name: rule for rule in rules.table}
    assert "refusals" not in by_name
    assert (by_name["queue-age"].above, by_name["queue-age"].below, by_name["queue-age"].critical) == (600, 300, 6000)
    assert (by_name["dead-letters"].above, by_name["dead-letters"].below) == (5, 5)
    rate = parse_rules("failure-rate=0.7").get("failure-rate")
    assert rate is not None and (rate.above, rate.below, rate.critical) == (0.7, pytest.approx(0.35), 0.7)
    assert by_name["failure-rate"] == RULES.get("failure-rate")
    assert rules.calm_seconds == 5
    assert parse_rules("") == RULES


@pytest.mark.parametrize("text", ["odd=1", "queue-age", "queue-age=", "queue-age=soon", "queue-age=-1", "queue-age=nan", "calm=off", "queue-age=inf"])
def test_what_is_no_threshold_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigurationError, match="OBSERVATORY_ALERTS has"):
        parse_rules(text)


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: rule.name)
def test_each_rule_is_sound(rule: Any) -> None:
    assert rule.below <= rule.above and (rule.critical is None or rule.critical >= rule.above)
    assert rule.evidence.format(subject="x").startswith("/v1/")
    assert rule.mend.endswith(".") and rule.means and rule.subject
    assert replace(rule.at(rule.above), below=rule.below) == rule
