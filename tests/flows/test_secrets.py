"""What a schema marks as secret appears nowhere outside the store: every way out is looked through for it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.console.test_command_line import console
from tests.functions.test_read_model import Stream
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until
from tests.support.webhook import TRIGGER, Webhook

SECRET = "hunter2'\"\nö-never-shown"
TELLING = "never-shown"  # a part of it that no way of writing changes
PAYLOAD = {"password": SECRET, "keys": [{"name": "first", "pem": f"-----BEGIN {SECRET}"}]}
SETTINGS = {"OBSERVATORY_TASKS": "tests.flows.secret_tasks", "OBSERVATORY_TICK_SECONDS": "1"}
ENDS = {"well": "succeeded", "raise": "failed", "die": "failed", "hang": "failed", "give-up": "failed"}


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    hook = Webhook(204)
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, hook: Webhook) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("secrets")
    triggers = folder / "triggers"
    triggers.mkdir()
    for kind in ("accepted", "succeeded", "failed", "progressed"):
        (triggers / f"{kind}.yaml").write_text(TRIGGER.format(name=f"hook-{kind}", url=hook.url).replace("job.succeeded", f"job.{kind}"))
    with running_system(folder / "data", OBSERVATORY_TRIGGERS=str(triggers), **SETTINGS) as system:
        yield system


@pytest.fixture(scope="module")
def jobs(system: System) -> dict[str, Any]:
    """A job of each ending, by how it ends."""
    ids = {how: system.submit("secret.told", {**PAYLOAD, "how": how}, tags=["secretive"]) for how in ENDS}
    found = {how: system.ended(job_id, 60) for how, job_id in ids.items()}
    assert {how: job["status"] for how, job in found.items()} == ENDS
    return found


def hides(text: str | bytes, where: str = "") -> str:
    """The text, if the secret is not in it."""
    text = text.decode() if isinstance(text, bytes) else text
    assert TELLING not in text and "hunter2" not in text, f"{where}: {text[:2000]}"
    return text


def get(system: System, path: str) -> str:
    answer = system.request("GET", path)
    assert answer.status == 200, (path, answer.status)
    return hides(answer.body, path)


def test_the_handler_got_it_whole_and_its_answers_do_not_tell(system: System, jobs: dict[str, Any]) -> None:
    result = jobs["well"]["result"]
    assert result["length"] == len(SECRET)
    assert (result["echo"]["password"], result["sentence"]) == ("[redacted]", "I used [redacted].")
    assert jobs["raise"]["error"]["message"].startswith("[redacted] is refused for")
    assert "ValueError" in jobs["raise"]["error"]["traceback"]
    hides(json.dumps(jobs))


def test_what_it_printed_is_kept_without_it_however_it_ended(system: System, jobs: dict[str, Any]) -> None:
    for how, job in jobs.items():
        (attempt,) = json.loads(get(system, f"/v1/jobs/{job['id']}/attempts"))["items"]
        log = get(system, f"/v1/jobs/{job['id']}/attempts/{attempt['lease_token']}/log")
        assert "signing in with [redacted]" in log and "the password is [redacted]" in log, how


def test_every_address_hides_it(system: System, jobs: dict[str, Any]) -> None:
    paths = [path for path, methods in system.request("GET", "/openapi.json").json()["paths"].items() if "get" in methods and path != "/v1/stream"]
    assert len(paths) > 20
    for job in jobs.values():
        for path in paths:
            if "{" not in path or (path.count("{") == 1 and "{job_id}" in path):
                get(system, path.replace("{job_id}", job["id"]))
    get(system, "/v1/events?limit=500")


def test_published_events_hide_it(system: System, jobs: dict[str, Any], hook: Webhook) -> None:
    def kinds() -> set[str]:
        return {event["type"].split(".")[3] for event in hook.taken}

    wait_until(lambda: kinds() >= {"accepted", "progressed", "succeeded", "failed"})
    assert "half way with [redacted]" in hides(json.dumps(hook.taken, ensure_ascii=False))


def test_the_live_stream_hides_it(system: System, jobs: dict[str, Any]) -> None:
    stream = Stream(system, "?after=0")
    head, told = system.request("GET", "/v1/stats").json()["head"], []
    for position, _, data in stream.messages():
        told.append(json.dumps(data, ensure_ascii=False))
        if position >= head:
            break
    stream.close()
    assert len(told) > 20
    hides("".join(told))


def test_no_search_finds_by_it(system: System, jobs: dict[str, Any]) -> None:
    assert len(system.request("GET", "/v1/jobs?q=tag:secretive").json()["items"]) == len(ENDS)
    for query in ("never-shown", "shown", "hunter2", "payload.password:hunter2", f"payload.password:{json.dumps(SECRET)}", "payload.keys.pem:never"):
        assert system.request("GET", f"/v1/jobs?q={quote(query + ' tag:secretive')}").json()["items"] == [], query


REFUSED: list[tuple[str, Any]] = [
    ("a wrong type", {"password": [SECRET, {"deep": SECRET}]}),
    ("too short a secret", {"password": "hunter2"}),
    ("a misspelt name", {"passwrod": SECRET}),
    ("an unknown name beside it", {**PAYLOAD, "token": SECRET}),
    ("no object", SECRET),
    ("a list", [SECRET]),
    ("deep in a wrong place", {**PAYLOAD, "keys": {"pem": SECRET}}),
]


@pytest.mark.parametrize(("what", "payload"), REFUSED)
def test_what_is_refused_hides_it(system: System, what: str, payload: Any) -> None:
    answer = system.request("POST", "/v1/jobs", {"type": "secret.told", "payload": payload})
    assert answer.status == 422
    hides(answer.body, what)
    batch = system.request("POST", "/v1/jobs/batch", {"jobs": [{"type": "secret.told", "payload": payload}]})
    hides(batch.body, what)


def test_samples_of_refusals_hide_it_and_are_ten_a_minute(system: System) -> None:
    for number in range(12):
        for _, payload in REFUSED:
            request = {"type": "secret.told", "payload": payload, "tags": [str(number)], "passwrod": SECRET}
            assert system.request("POST", "/v1/jobs", request).status == 422

    def counted() -> list[Any]:
        return [row for row in system.request("GET", "/v1/contracts").json()["refusals"] if row["type"] == "secret.told"]

    wait_until(lambda: sum(row["count"] for row in counted()) >= 12 * len(REFUSED))
    samples = [sample for row in counted() for sample in row["samples"]]
    assert samples and all(len(row["samples"]) <= 10 for row in counted())
    assert any("[redacted]" in str(sample) for sample in samples), samples
    hides(json.dumps(counted(), ensure_ascii=False))


def test_a_schedule_hides_it(system: System) -> None:
    body = {"every_seconds": 3_600, "template": {"type": "secret.told", "payload": PAYLOAD}}
    hides(system.request("PUT", "/v1/schedules/secretive", body).body)
    run = system.request("POST", "/v1/schedules/secretive/run?wait=20")
    assert run.json()["status"] == "succeeded"
    hides(run.body)
    get(system, "/v1/schedules")
    get(system, "/v1/events?subject=schedule/secretive")
    get(system, "/v1/jobs?q=schedule:secretive")
    assert system.request("DELETE", "/v1/schedules/secretive").status == 200


def test_the_command_line_and_the_console_hide_it(system: System, jobs: dict[str, Any]) -> None:
    failed = jobs["raise"]["id"]
    for arguments in (["show", failed, "--json"], ["show", failed], ["list", "--json"], ["events", "--json"], ["--once", f"job {failed}"]):
        done = console(system, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        hides(done.stdout + done.stderr, str(arguments))


def test_what_a_task_takes_names_the_way_that_shows_a_secret_to_nobody(system: System) -> None:
    said = console(system, "tasks", "secret.told").stdout
    assert said.rstrip().endswith("submit secret.told password=@FILE")
    assert "  Secret: give it by password=@FILE or password=-." in said


def test_a_rerun_hides_it_too_and_gets_it_whole(system: System, jobs: dict[str, Any]) -> None:
    again = system.request("POST", f"/v1/jobs/{jobs['well']['id']}/rerun")
    job = system.ended(again.json()["id"])
    assert job["result"]["length"] == len(SECRET)
    hides(json.dumps(job, ensure_ascii=False))


def test_dead_letters_and_their_replays_hide_it(system: System, hook: Webhook) -> None:
    hook.status = 503
    try:
        job_id = system.submit("secret.told", PAYLOAD)
        system.ended(job_id)
        letters = wait_until(lambda: found if len(found := _letters(system, job_id)) == 3 else None, 30)  # accepted, progressed, succeeded
        for letter in letters:
            hides(console(system, "dead-letters", "show", letter["id"]).stdout)
            hides(system.request("POST", f"/v1/dead-letters/{letter['id']}/replay", {}).body)
    finally:
        hook.status = 204
    for letter in letters:
        assert system.request("POST", f"/v1/dead-letters/{letter['id']}/replay", {}).json()["status"] == "replayed"
    hides(json.dumps(hook.taken, ensure_ascii=False))
    get(system, "/v1/dead-letters")


def _letters(system: System, job_id: str) -> list[Any]:
    kept = [json.loads(get(system, f"/v1/dead-letters/{letter['id']}")) for letter in json.loads(get(system, "/v1/dead-letters?status=kept"))["items"]]
    return [letter for letter in kept if letter["event"] and letter["event"]["subject"] == f"job/{job_id}"]


def test_nothing_that_it_logged_holds_it(system: System, jobs: dict[str, Any]) -> None:
    hides(system.said())


# ---- tasks change, secrets stay -----------------------------------------------------------------------------------

LATER = '''
from functions.processor.tasks import task

@task("secret.told", schema={"type": "object", "properties": {"how": {"type": "string"}}})
def told(payload: dict) -> None: ...
'''


@pytest.mark.parametrize("later", ["the task is gone", "the task marks it no more"])
def test_what_was_a_secret_when_it_came_stays_one(tmp_path: Path, later: str) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "later_tasks.py").write_text(LATER)
    with running_system(tmp_path / "data", **SETTINGS) as first:
        job_id = first.submit("secret.told", PAYLOAD)
        first.ended(job_id)
    settings = {"PYTHONPATH": str(tmp_path / "modules")} | ({"OBSERVATORY_TASKS": "later_tasks"} if "marks" in later else {})
    with running_system(tmp_path / "data", **settings) as second:
        assert second.job(job_id)["payload"]["password"] == "[redacted]"
        for path in (f"/v1/jobs/{job_id}", "/v1/jobs", f"/v1/jobs/{job_id}/events", "/v1/events"):
            get(second, path)
        assert second.request("GET", "/v1/jobs?q=hunter2").json()["items"] == []


def test_the_audit_names_a_corrupted_payload_and_hides_it(tmp_path: Path) -> None:
    import sqlite3

    with running_system(tmp_path / "data", **SETTINGS) as system:
        system.ended(system.submit("secret.told", PAYLOAD))
        system.request("PUT", "/v1/schedules/secretive", {"every_seconds": 3_600, "template": {"type": "secret.told", "payload": PAYLOAD}})
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "observatory.db", isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET payload = json_set(payload, '$.more', 1)")
        connection.execute("UPDATE schedules SET definition = json_set(definition, '$.template.payload.more', 1)")
    done = subprocess.run([sys.executable, "-m", "console", "rebuild", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "OBSERVATORY_DATA": str(tmp_path / "data")})  # fmt: skip
    assert done.returncode == 1
    assert "payload" in done.stdout and "template" in done.stdout
    hides(done.stdout + done.stderr)
