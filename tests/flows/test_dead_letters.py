"""An event that nobody could handle: kept as it came, replayed to the one Trigger that failed, or discarded."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.test_command_line import console
from tests.support.system import System, running_system
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, lead_to, listening


@pytest.fixture
def hooks() -> Iterator[list[Webhook]]:
    with listening(503, 204) as found:
        yield found


@pytest.fixture
def system(tmp_path: Path, hooks: list[Webhook]) -> Iterator[System]:
    triggers = tmp_path / "triggers"
    for name, hook in zip(("broken", "sound"), hooks, strict=True):
        lead_to(triggers, name, hook)
    with running_system(tmp_path / "data", OBSERVATORY_TRIGGERS=str(triggers)) as system:
        yield system


def kept(system: System) -> Any:
    """The one dead letter, once it is there."""
    return wait_until(lambda: system.request("GET", "/v1/dead-letters?status=kept").json()["items"])[0]


def wish(system: System, letter: Any, action: str, body: Any) -> Any:
    return system.request("POST", f"/v1/dead-letters/{letter['id']}/{action}", body)


def test_a_replay_goes_to_the_trigger_that_failed_and_to_no_other(system: System, hooks: list[Webhook]) -> None:
    broken, sound = hooks
    job_id = system.submit("text.statistics", {"text": "to be"})
    letter = kept(system)
    assert (letter["trigger"], letter["attempts"]) == ("broken", 2)
    assert "503" in letter["reason"]
    whole = system.request("GET", f"/v1/dead-letters/{letter['id']}").json()
    assert whole["check"] == "ok"
    assert whole["event"]["subject"] == f"job/{job_id}"

    again = wish(system, letter, "replay", {"reason": "try"}).json()  # it fails still: the letter stays, and says so
    assert (again["status"], again["outcome"]) == ("kept", "failed (503)")
    broken.status = 204
    assert wish(system, letter, "replay", {"reason": "mended"}).json()["status"] == "replayed"
    assert [event["subject"] for event in broken.taken] == [f"job/{job_id}"]
    assert len(sound.taken) == 1

    told = [event for event in system.request("GET", "/v1/events?limit=50").json()["items"] if event["type"].startswith("dev.observatory.deadletter")]
    assert [(event["data"]["outcome"], event["data"]["reason"], event["subject"]) for event in told] == [
        ("delivered", "mended", f"deadletter/{letter['id']}"), ("failed", "try", f"deadletter/{letter['id']}")]  # fmt: skip


def test_an_edited_replay_is_a_new_event_whose_cause_is_the_old_one(system: System, hooks: list[Webhook]) -> None:
    system.submit("demo.noop")
    letter = kept(system)
    hooks[0].status = 204
    event = system.request("GET", f"/v1/dead-letters/{letter['id']}").json()["event"]
    bad = wish(system, letter, "replay", {"event": {**event, "data": {"attempt": "x"}}})
    assert bad.status == 422 and bad.json()["faults"]
    assert hooks[0].taken == []
    assert wish(system, letter, "replay", {"event": {**event, "data": {**event["data"], "result": {"edited": True}}}}).status == 202
    (taken,) = hooks[0].taken
    assert taken["data"]["result"] == {"edited": True}
    assert taken["causation"] == event["id"]
    assert taken["id"] != event["id"]


def test_a_letter_is_discarded_with_a_reason_and_survives_a_kill(system: System) -> None:
    system.submit("demo.noop")
    letter = kept(system)
    assert wish(system, letter, "discard", {}).status == 422
    assert wish(system, letter, "discard", {"reason": "a test"}).json()["status"] == "discarded"
    assert wish(system, letter, "discard", {"reason": "again"}).json()["outcome"] == "a test"
    assert wish(system, letter, "replay", {}).status == 409
    system.kill()
    system.start()
    found = system.request("GET", f"/v1/dead-letters/{letter['id']}").json()
    assert (found["status"], found["outcome"]) == ("discarded", "a test")


def test_unknown_letters_and_unknown_fields_are_answered_in_words(system: System) -> None:
    assert system.request("POST", "/v1/dead-letters/nowhere/replay", {}).status == 404
    refused = system.request("POST", "/v1/dead-letters/nowhere/discard", {"why": "x"})
    assert refused.status == 422
    assert "reason" in json.dumps(refused.json())


def test_the_command_line_shows_replays_edits_and_discards(system: System, hooks: list[Webhook], tmp_path: Path) -> None:
    system.submit("demo.noop")
    letter = kept(system)["id"]
    assert "503" in console(system, "dead-letters").stdout
    shown = console(system, "dead-letters", "show", letter).stdout
    assert "trigger       " in shown and "None" not in shown  # what is not there has no line
    failed = console(system, "dead-letters", "replay", letter)
    assert failed.returncode == 1 and "failed (503)" in failed.stdout
    (tmp_path / "event.json").write_text(console(system, "dead-letters", "show", letter, "--event").stdout)
    hooks[0].status = 204
    done = console(system, "dead-letters", "replay", letter, "--edit", f"@{tmp_path / 'event.json'}", "--reason", "mended")
    assert (done.returncode, "replayed" in done.stdout) == (0, True), done.stderr
    assert console(system, "dead-letters", "discard", letter).returncode == 2
    assert "discarded" in console(system, "dead-letters", "discard", letter, "--reason", "enough").stdout
    assert console(system, "dead-letters", "replay", "nowhere").returncode == 5


def test_what_a_webhook_did_not_take_is_not_settled_because_the_job_went_on(tmp_path: Path) -> None:
    with listening(503) as (hook,):
        lead_to(tmp_path / "triggers", "queued", hook, "job.queued")
        with running_system(tmp_path / "data", OBSERVATORY_TRIGGERS=str(tmp_path / "triggers"), OBSERVATORY_TICK_SECONDS="0.2") as system:
            job_id = system.submit("demo.noop")
            letter = kept(system)
            system.ended(job_id)
            time.sleep(1)  # some ticks, each of which settles what came to pass meanwhile
            assert system.request("GET", f"/v1/dead-letters/{letter['id']}").json()["status"] == "kept"
            hook.status = 204
            assert wish(system, letter, "replay", {}).json()["status"] == "replayed"
            assert [event["subject"] for event in hook.taken] == [f"job/{job_id}"]
