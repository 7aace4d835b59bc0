"""An alert from its cause to a pager: raised in the feed, shown with its evidence, delivered by the README's Trigger, over again."""

import re
from pathlib import Path

from tests.flows.test_readme import section
from tests.support.system import System, running_system
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, listening

FAILURE = {"type": "demo.fail", "payload": {"times": 9}, "max_attempts": 1}


def triggers(folder: Path, url: str) -> str:
    """A folder with the Trigger as the README prints it, for this URL."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", section("Alerts"), re.M | re.S)
    assert "http://127.0.0.1:9000/alerts" in text
    folder.mkdir()
    (folder / "alerts.yaml").write_text(text.replace("http://127.0.0.1:9000/alerts", url))
    return str(folder)


def test_an_alert_goes_out_when_it_is_raised_and_when_it_is_over(tmp_path: Path) -> None:
    with listening(204) as (hook,), running_system(
        tmp_path / "data", OBSERVATORY_TRIGGERS=triggers(tmp_path / "triggers", hook.url), OBSERVATORY_TICK_SECONDS="0.3",
        OBSERVATORY_ALERTS="calm=0.5,failure-rate=0.4",
    ) as system:  # fmt: skip
        system.request("POST", "/v1/jobs/batch", {"jobs": [FAILURE] * 6})
        raised = wait_until(lambda: next(iter(hook.taken), None))
        assert raised["type"] == "dev.observatory.alert.raised.v1" and raised["severity"] == "critical"
        assert raised["data"]["id"] == "failure-rate/demo.fail" and raised["data"]["threshold"] == 0.4
        shown_while_raised(system, raised)
        # what ends now outweighs the failures; the evidence of the alert is gone, and after a while so is the alert
        system.request("POST", "/v1/jobs/batch", {"jobs": [{"type": "demo.fail", "payload": {"times": 0}}] * 60})
        over(system, hook, raised)


def shown_while_raised(system: System, raised: dict) -> None:
    (alert,) = system.request("GET", "/v1/alerts").json()["items"]
    assert (alert["id"], alert["status"], alert["summary"]) == ("failure-rate/demo.fail", "raised", raised["data"]["summary"])
    evidence = system.request("GET", alert["evidence"]).json()["items"]
    assert len(evidence) == 6 and {job["type"] for job in evidence} == {"demo.fail"}
    assert 'observatory_alerts{name="failure-rate",severity="critical"} 1.0' in system.request("GET", "/metrics").body.decode()


def over(system: System, hook: Webhook, raised: dict) -> None:
    resolved = wait_until(lambda: hook.taken[1] if len(hook.taken) > 1 else None)
    assert resolved["type"] == "dev.observatory.alert.resolved.v1" and resolved["subject"] == raised["subject"]
    assert resolved["causation"] == raised["id"] and resolved["data"]["lasted_seconds"] > 0
    assert system.request("GET", "/v1/alerts").json()["items"] == []
    told = system.request("GET", f"/v1/events?subject={raised['subject']}").json()["items"]
    assert [event["type"].split(".")[3] for event in told] == ["resolved", "raised"]
    assert len(hook.taken) == 2
