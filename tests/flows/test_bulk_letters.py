"""One wish for many dead letters: found by their own query, replayed or discarded in steps, through a pulled plug."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.console.test_command_line import console
from tests.support.system import System, running_system
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, lead_to, listening

LETTERS = 24


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with listening(503) as (found,):
        yield found


@pytest.fixture
def system(tmp_path: Path, hook: Webhook) -> Iterator[System]:
    """With so many letters of a subscriber that was away."""
    lead_to(tmp_path / "triggers", "broken", hook)
    with running_system(tmp_path / "data", OBSERVATORY_TRIGGERS=str(tmp_path / "triggers")) as system:
        system.request("POST", "/v1/jobs/batch", {"jobs": [{"type": "demo.noop", "payload": {}}] * LETTERS})
        wait_until(lambda: len(letters(system)) == LETTERS, 60)
        yield system


def letters(system: System, query: str = "") -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        page = system.request("GET", f"/v1/dead-letters?limit=10&q={quote(query)}{cursor}").json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def finished(system: System, url: str) -> Any:
    return wait_until(lambda: found if (found := system.request("GET", url).json())["status"] == "finished" else None, 60)


def test_letters_are_found_by_their_own_query(system: System) -> None:
    one = letters(system)[3]
    assert len(letters(system, "status:kept trigger:broken age<1h attempts>=1")) == LETTERS
    assert len(letters(system, 'reason:"answered 503" type:dev.observatory.job.succeeded.v1')) == LETTERS
    assert letters(system, "-trigger:broken") == letters(system, "age>1h") == letters(system, "reason:teapot OR status:replayed") == []
    assert letters(system, f"id:{one['id']}") == letters(system, f"event:{one['event_id']}") == [one]
    fault = system.request("GET", "/v1/dead-letters?q=queue:bulk")
    assert fault.status == 400 and "Fields are id, status, trigger" in fault.json()["detail"]


def test_many_are_replayed_once_each_and_counted(system: System, hook: Webhook) -> None:
    wish = {"action": "replay", "q": "trigger:broken status:kept", "reason": "it is back"}
    rehearsed = system.request("POST", "/v1/bulk", wish | {"dry_run": True}).json()
    assert (rehearsed["matched"], rehearsed["able"], len(rehearsed["samples"])) == (LETTERS, LETTERS, 10)
    failed = finished(system, system.request("POST", "/v1/bulk", wish).json()["url"])
    assert failed["outcomes"] == {"failed": LETTERS} and failed["samples"][0]["detail"]
    hook.status = 204
    assert hook.taken == []
    done = finished(system, system.request("POST", "/v1/bulk", wish | {"q": "trigger:broken -status:discarded"}).json()["url"])
    assert done["outcomes"] == {"done": LETTERS}
    assert Counter(event["id"] for event in hook.taken) == dict.fromkeys((letter["event_id"] for letter in letters(system)), 1)
    assert {letter["status"] for letter in letters(system)} == {"replayed"}


def test_discarding_many_needs_a_reason(system: System) -> None:
    wish = {"action": "discard", "q": "status:kept"}
    assert system.request("POST", "/v1/bulk", wish).status == 422
    done = finished(system, system.request("POST", "/v1/bulk", wish | {"reason": "of no use"}).json()["url"])
    assert done["outcomes"] == {"done": LETTERS}
    assert {(letter["status"], letter["outcome"]) for letter in letters(system)} == {("discarded", "of no use")}
    again = finished(system, system.request("POST", "/v1/bulk", {"action": "replay", "q": ""}).json()["url"])
    assert again["outcomes"] == {"conflict": LETTERS}


def test_a_pulled_plug_repeats_at_most_the_letter_in_hand(system: System, hook: Webhook) -> None:
    hook.status, hook.seconds = 204, 0.05
    url = system.request("POST", "/v1/bulk", {"action": "replay", "q": "trigger:broken"}).json()["url"]
    kills = 2
    for kill in range(kills):
        seen = len(hook.taken)
        wait_until(lambda seen=seen: len(hook.taken) > seen + 2)
        assert system.request("GET", url).json()["status"] == "running", kill
        system.kill()
        system.start()
    assert finished(system, url)["outcomes"] == {"done": LETTERS}
    taken = Counter(event["id"] for event in hook.taken)
    assert taken.keys() == {letter["event_id"] for letter in letters(system)}
    assert taken.total() <= LETTERS + kills and max(taken.values()) <= 1 + kills


def test_the_command_line_replays_many(system: System, hook: Webhook) -> None:
    hook.status = 204
    assert f"{LETTERS} found, {LETTERS} can be" in console(system, "bulk", "replay", "trigger:broken", "--dry-run").stdout
    done = console(system, "bulk", "replay", "trigger:broken", "--yes")
    assert (done.returncode, f"{LETTERS} done" in done.stdout) == (0, True), done.stderr
