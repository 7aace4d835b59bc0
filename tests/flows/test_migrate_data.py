"""`console migrate-data`: a system's data folder goes over into PostgreSQL, and the system goes on there as several processes."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventing.triggers import load_triggers
from tests.console.test_command_line import NOWHERE, console
from tests.support.checker import check, read_evidence
from tests.support.postgres import Databases
from tests.support.processes_system import SETTINGS, ProcessesSystem, delete_queues
from tests.support.servers import server_url
from tests.support.system import ROOT, System
from tests.support.waiting import wait_until
from tests.support.webhook import TRIGGER

servers = pytest.mark.servers
TEMPLATE = {"type": "test.note", "payload": {}}
KEY = {"idempotency-key": "the one"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after a life that ended by SIGKILL: jobs in every state, dependencies, schedules, a paused queue, steps, a dead letter, what
    retention dropped."""
    folder = tmp_path_factory.mktemp("lived")
    triggers = folder / "triggers"
    triggers.mkdir()
    nobody = TRIGGER.format(name="nobody", url="http://127.0.0.1:1/").replace("job.succeeded", "job.failed")
    (triggers / "nobody.yaml").write_text(nobody)
    settings = SETTINGS | {"OBSERVATORY_KEEP_JOBS_MAX": "25", "OBSERVATORY_TRIGGERS": str(triggers), "OBSERVATORY_TEST_LEDGER": str(folder / "ledger")}
    with System(folder / "data", **settings) as system:
        for name, seconds in (("often", 3), ("rare", 3600)):
            system.request("PUT", f"/v1/schedules/{name}", {"every_seconds": seconds, "template": TEMPLATE, "overlap": "queue"})
        system.request("POST", "/v1/schedules/rare/pause", {"reason": "a test"})
        for _ in range(40):
            system.submit("test.note")
        lost = system.submit("test.permanent", max_attempts=1)
        system.ended(lost)
        system.ended(system.submit("test.fail", {"times": 1}))
        system.ended(system.submit("test.steps", {"steps": ["a", "b"]}))
        late = system.submit("test.note", delay_seconds=3600)
        system.submit("test.note", depends_on=[late], tags=["child"])
        system.request("POST", f"/v1/jobs/{system.submit('test.note', delay_seconds=3600)}/cancel", {"reason": "a test"})
        system.request("POST", "/v1/jobs", TEMPLATE, KEY)
        wait_until(lambda: system.request("GET", "/v1/stats").json()["dropped"])
        wait_until(lambda: system.request("GET", "/v1/dead-letters").json()["items"])
        wait_until(lambda: system.request("GET", "/v1/schedules/often").json()["last_at"])
        system.request("POST", "/v1/queues/default/pause", {"reason": "a test"})
        for _ in range(300):
            system.submit("test.note", {"word": "kept"})
        running = system.submit("test.sleep", {"seconds": 8}, queue="bulk")
        wait_until(lambda: system.job(running)["status"] == "running")
        system.kill()
    assert check(folder / "data" / "observatory.db") == []
    return folder


@pytest.fixture
def data(lived: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(lived / "data", tmp_path / "data")


@pytest.fixture
def url(postgres_databases: Databases) -> Iterator[str]:
    """An empty database, named as a URL."""
    made = postgres_databases.bare()
    yield made
    postgres_databases.drop(made)


def migrate(data: Path, url: str, *arguments: str, code: int = 0) -> Any:
    done = console(NOWHERE, "migrate-data", *arguments, "--json", environment={"OBSERVATORY_DATA": str(data), "OBSERVATORY_POSTGRES_URL": url})
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout or done.stderr)


@servers
def test_the_system_goes_on_as_processes_where_it_was_killed(lived: Path, data: Path, url: str, tmp_path: Path) -> None:
    rehearsed = migrate(data, url, "--dry-run")
    assert rehearsed["dry_run"] and not any(row["database"] for row in rehearsed["tables"])
    report = migrate(data, url)
    rows = {row["table"]: row["folder"] for row in report["tables"]}
    assert all(row["folder"] == row["database"] for row in report["tables"]) and rows["jobs"] > 300 and rows["dead_letters"] == 1
    before = read_evidence(data / "observatory.db")
    assert [row["body"] for row in read_evidence(url).rows] == [row["body"] for row in before.rows]

    redis, rabbitmq = server_url("redis"), server_url("rabbitmq")
    settings = SETTINGS | {
        "OBSERVATORY_POSTGRES_URL": url, "OBSERVATORY_REDIS_URL": redis, "OBSERVATORY_RABBITMQ_URL": rabbitmq,
        "OBSERVATORY_TEST_LEDGER": str(tmp_path / "ledger"),
    }  # fmt: skip
    shutil.copy(lived / "ledger", tmp_path / "ledger")
    try:
        with ProcessesSystem(tmp_path / "new", **settings) as system:
            _goes_on(system, before)
            wait_until(lambda: _is_quiet(url), 60)
            system.request("POST", "/v1/audit", {})
            audit = wait_until(lambda: now if (now := system.request("GET", "/v1/audit").json())["status"] != "running" else None, 60)
            assert (audit["status"], audit["differences"]) == ("finished", 0), audit
    finally:
        delete_queues(rabbitmq, load_triggers())
    assert [found for found in check(url, redis=redis, quiescent=True) if not found.startswith("I12: nobody could not handle")] == []  # the discarded one
    after = read_evidence(url)
    assert [row["position"] for row in after.rows if row["position"] > before.head] == list(range(before.head + 1, after.head + 1))
    assert [row["body"] for row in after.rows if row["position"] <= before.head] == [row["body"] for row in before.rows]


def _goes_on(system: ProcessesSystem, before: Any) -> None:
    again = system.request("POST", "/v1/jobs", TEMPLATE, KEY)
    assert again.status == 200 and again.json()["id"] in {row["job_id"] for row in before.tables["idempotency"]}
    assert system.request("POST", "/v1/jobs", TEMPLATE | {"payload": {"word": "other"}}, KEY).status == 409
    queues = {queue["name"]: queue for queue in system.request("GET", "/v1/queues").json()["items"]}
    assert queues["default"]["paused"] and queues["default"]["depth"] >= 300
    found = wait_until(lambda: system.request("GET", "/v1/jobs?q=kept%20state:queued&limit=3").json().get("items"))
    assert len(found) == 3
    system.request("POST", "/v1/queues/default/resume", {})
    last = before.tables["schedules"][0]["last_at"]
    wait_until(lambda: system.request("GET", "/v1/schedules/often").json()["last_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(last / 1e6 + 3)), 30)
    assert system.request("GET", "/v1/schedules/rare").json()["paused"]
    system.request("POST", "/v1/schedules/often/pause", {})
    (late,) = [job["id"] for job in before.jobs.values() if job["status"] == "scheduled"]
    system.request("POST", f"/v1/jobs/{late}/cancel", {"reason": "a test"})
    (letter,) = system.request("GET", "/v1/dead-letters").json()["items"]
    assert system.request("POST", f"/v1/dead-letters/{letter['id']}/discard", {"reason": "a test"}).status in (200, 202)


_QUIET = """
    SELECT (SELECT count(*) FROM observatory.jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')) = 0
       AND (SELECT count(*) FROM observatory.unplaced) = 0
       AND (SELECT count(*) FROM observatory.cursors AS c, observatory.head AS h
            WHERE c.name IN ('relay', 'statistics') AND c.position = h.position) = 2"""


def _is_quiet(url: str) -> bool:
    with psycopg.connect(url) as connection:
        ((quiet,),) = connection.execute(_QUIET).fetchall()
    return bool(quiet)


@servers
def test_killed_in_every_batch_it_comes_to_its_end(data: Path, url: str) -> None:
    """Each time before a commit, then after it; what is there is whole when the last run says so."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OBSERVATORY_")}
    variables |= {"OBSERVATORY_DATA": str(data), "OBSERVATORY_POSTGRES_URL": url}
    command = [sys.executable, "-m", "console", "migrate-data", "--json"]
    killed = 0
    for run in range(100):
        point = "inserted:1" if run % 2 else "committed:1"
        done = subprocess.run(command, cwd=ROOT, env=variables | {"OBSERVATORY_TEST_KILL": point}, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != -signal.SIGKILL:
            break
        killed += 1
    assert done.returncode == 0, done.stderr
    assert killed > 10 and json.loads(done.stdout)["was_there"]
    before, after = read_evidence(data / "observatory.db"), read_evidence(url)
    assert [row["body"] for row in after.rows] == [row["body"] for row in before.rows] and after.head == before.head
    assert after.jobs.keys() == before.jobs.keys()


@servers
def test_a_folder_that_was_carried_over_starts_nothing_any_more(data: Path, url: str) -> None:
    done = console(NOWHERE, "migrate-data", "--data", str(data), environment={"OBSERVATORY_POSTGRES_URL": url})
    assert done.returncode == 0, done.stderr
    assert "in PostgreSQL" in done.stdout and "make run PROFILE=servers" in done.stdout
    with pytest.raises(RuntimeError, match="was carried over to PostgreSQL at"):
        System(data).start()
    (data / "carried-over").unlink()
    with System(data, OBSERVATORY_TASKS="tests.support.tasks") as system:
        assert system.request("GET", "/v1/queues").status == 200
    assert "has worked on it since" in migrate(data, url, code=2)["error"]["message"]


def test_what_cannot_be_is_refused_with_what_to_do(system: System, tmp_path: Path) -> None:
    nowhere = "postgresql://localhost:1/x"
    for folder, url, words in (
        (system.data, "", "OBSERVATORY_POSTGRES_URL"), (tmp_path, nowhere, "there is no data"), (system.data, nowhere, "stop it first"),
    ):  # fmt: skip
        assert words in migrate(folder, url, code=2)["error"]["message"]


def test_a_database_that_is_away_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    with System(tmp_path / "data"):
        pass
    for arguments in ([], ["--dry-run"]):
        assert "the job store does not answer" in migrate(tmp_path / "data", "postgresql://localhost:1/x", *arguments, code=1)["error"]["message"]
    with closing(sqlite3.connect(tmp_path / "data" / "observatory.db")) as connection:
        assert connection.execute("SELECT count(*) FROM deployment").fetchone() == (1,)
    assert not (tmp_path / "data" / "carried-over").exists()
