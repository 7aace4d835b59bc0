"""The log against table, timelines and statistics: what differs is named, and mended from the log."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.console.test_command_line import NOWHERE, console
from tests.support.checker import check
from tests.support.system import System
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after a life: successes, failures, retries, a cancel, a reopening, dependencies, retention."""
    folder = tmp_path_factory.mktemp("lived")
    with System(folder / "data", OBSERVATORY_TICK_SECONDS="0.2", OBSERVATORY_KEEP_JOBS_MAX="25") as system:
        for _ in range(20):
            system.submit("demo.noop")
        lost = system.submit("demo.fail", {"times": 9}, max_attempts=1)
        system.ended(lost)
        system.request("POST", f"/v1/jobs/{lost}/retry", {})
        parent = system.submit("demo.sleep", {"seconds": 0.1})
        child = system.submit("demo.noop", depends_on=[parent])
        for name, seconds in (("often", 1), ("rare", 3600), ("brief", 3600)):
            template = {"type": "demo.noop", "payload": {}}
            system.request("PUT", f"/v1/schedules/{name}", {"every_seconds": seconds, "template": template, "overlap": "queue"})
        system.request("POST", "/v1/schedules/rare/pause", {"reason": "a test"})
        system.request("DELETE", "/v1/schedules/brief")
        wait_until(lambda: system.request("GET", "/v1/schedules/often").json()["last_at"])
        system.request("POST", "/v1/schedules/often/pause", {})
        late = system.submit("demo.noop", delay_seconds=3600)
        system.request("POST", f"/v1/jobs/{late}/cancel", {"reason": "a test"})
        retried = system.submit("demo.fail", {"times": 1}, max_attempts=3)
        system.submit("demo.noop", delay_seconds=3600)
        for job_id in (child, lost, retried):
            system.ended(job_id)
        for _ in range(10):
            system.submit("demo.noop")
        wait_until(lambda: now if (now := system.request("GET", "/v1/stats").json())["dropped"] and not now["lag"] and not now["states"]["queued"] else None)
        assert console(system, "rebuild", "--check", environment={"OBSERVATORY_DATA": str(system.data)}).returncode == 0  # beside the running system
    return folder / "data"


@pytest.fixture
def data(lived: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, to be spoilt."""
    copy = tmp_path / "data"
    copy.mkdir()
    with closing(sqlite3.connect(lived / "observatory.db")) as source, closing(sqlite3.connect(copy / "observatory.db")) as target:
        source.backup(target)
    yield copy


def rebuild(data: Path, *arguments: str) -> tuple[int, Any]:
    done = console(NOWHERE, "rebuild", *arguments, "--json", environment={"OBSERVATORY_DATA": str(data)})
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def spoil(data: Path, sql: str) -> None:
    with closing(sqlite3.connect(data / "observatory.db")) as connection:
        assert connection.execute(sql).rowcount == 1, sql
        connection.commit()


SPOILT = {
    "a row": ("UPDATE jobs SET result = '{\"echo\": 7}' WHERE number = (SELECT max(number) - 1 FROM jobs)", "job", "result"),
    "a status": ("UPDATE jobs SET status = 'failed' WHERE number = (SELECT max(number) - 1 FROM jobs)", "job", "status"),
    "a job that waits for nobody": ("UPDATE jobs SET status = 'waiting', open_parents = 1 WHERE number = (SELECT max(number) - 1 FROM jobs)", "family",
                                    "open_parents"),
    "a job that ended under a lease": ("UPDATE jobs SET lease_until = 1 WHERE number = (SELECT max(number) - 1 FROM jobs)", "job", "lease_until"),
    "a job that counts parents and does not wait": ("UPDATE jobs SET open_parents = 1 WHERE number = (SELECT max(number) - 1 FROM jobs)", "family",
                                                    "open_parents"),
    "a row that is gone": ("DELETE FROM jobs WHERE number = (SELECT max(number) - 1 FROM jobs)", "job", "row"),
    "an attempt": ("UPDATE attempts SET outcome = 'succeeded' WHERE rowid IS NULL OR (outcome = 'failed' AND job_id = (SELECT max(job_id) FROM attempts"
                   " WHERE outcome = 'failed') AND lease_token = 1)", "attempt", "outcome"),
    "an attempt that is gone": ("DELETE FROM attempts WHERE job_id = (SELECT max(job_id) FROM attempts)", "attempt", "row"),
    "a schedule": ("UPDATE schedules SET definition = json_set(definition, '$.template.payload.echo', 1) WHERE name = 'rare'", "schedule", "template"),
    "a schedule's last run": ("UPDATE schedules SET last_at = 7 WHERE name = 'often'", "schedule", "last_at"),
    "a schedule that is gone": ("DELETE FROM schedules WHERE name = 'often'", "schedule", "row"),
    "a schedule that was deleted": ("INSERT INTO schedules SELECT 'brief', definition, paused, next_at, last_at, last_job_id FROM schedules"
                                    " WHERE name = 'rare'", "schedule", "row"),
    "a counter": ("UPDATE counts SET jobs = jobs + 1 WHERE type = 'demo.noop' AND status = 'succeeded'", "counts", "default demo.noop succeeded"),
    "a state of the statistics": ("UPDATE statistics_states SET jobs = jobs + 1 WHERE type = 'demo.noop' AND status = 'succeeded'", "statistics",
                                  "default demo.noop succeeded"),
    "a sum": ("UPDATE statistics_sums SET value = value + 1 WHERE minute = 0 AND type = 'demo.noop' AND measure = 'accepted'", "statistics",
              "0 default demo.noop accepted"),
    "a bucket": ("UPDATE statistics_buckets SET count = count + 1 WHERE (minute, queue, type, measure, bucket) = (SELECT minute, queue, type, measure,"
                 " bucket FROM statistics_buckets WHERE minute = 0 LIMIT 1)", "statistics", "0 default"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_what_was_spoilt_is_named_and_mended_from_the_log(data: Path, what: str) -> None:
    sql, part, field = SPOILT[what]
    spoil(data, sql.replace("rowid IS NULL OR ", ""))
    code, report = rebuild(data)
    assert code == 1
    assert any(item["part"] == part and item["field"].startswith(field) for item in report["items"]), report["items"]
    code, report = rebuild(data, "--apply", "--yes")
    assert (code, report["differences"]) == (0, 0), report
    assert report["mended"] >= 1
    assert check(data / "observatory.db") == []


CHILD = "WHERE number = (SELECT max(number) FROM jobs)"
EDGE = "WHERE child_id = (SELECT id FROM jobs ORDER BY number DESC LIMIT 1) AND parent_id = (SELECT id FROM jobs ORDER BY number DESC LIMIT 1 OFFSET 1)"
HANGING = {
    "waits for one too many": (f"UPDATE jobs SET open_parents = 3 {CHILD}", "open_parents"),
    "waits for one too few": (f"UPDATE jobs SET open_parents = 1 {CHILD}", "open_parents"),
    "is not told of an end": (f"UPDATE edges SET settled = 1 {EDGE}", "waits_for"),
    "is not known to its parent": (f"DELETE FROM edges {EDGE}", "waits_for"),
}


@pytest.mark.parametrize("what", HANGING)
def test_a_job_that_would_wait_wrongly_is_named_and_mended_and_goes_on_when_its_parents_end(data: Path, what: str) -> None:
    sql, field = HANGING[what]
    parents, child = family(data)
    spoil(data, sql)
    named_and_mended(data, field)
    with resumed(data) as system:
        done = system.ended(child)
        assert done["status"] == "succeeded"
        assert all(system.job(parent)["finished_at"] <= done["started_at"] for parent in parents)
    assert check(data / "observatory.db") == []


def test_a_job_whose_parents_have_ended_meanwhile_goes_on_once_it_is_mended(data: Path) -> None:
    parents, child = family(data)
    spoil(data, HANGING["waits for one too many"][0])
    with resumed(data) as system:
        for parent in parents:
            system.ended(parent)
        assert system.job(child)["status"] == "waiting"
    named_and_mended(data, "open_parents")
    with resumed(data) as system:
        assert system.ended(child)["status"] == "succeeded"
    assert check(data / "observatory.db") == []


def family(data: Path) -> tuple[list[str], str]:
    """Two parents that do not run yet, and the job that waits for both; nothing runs."""
    with System(data, OBSERVATORY_KEEP_JOBS_MAX="0") as system:
        system.request("POST", "/v1/queues/default/pause", {})
        parents = [system.submit("demo.noop"), system.submit("demo.noop")]
        return parents, system.submit("demo.noop", depends_on=parents)


def named_and_mended(data: Path, field: str) -> None:
    code, report = rebuild(data, "--check")
    assert (code, [(item["part"], item["field"]) for item in report["items"]]) == (1, [("family", field)])
    code, report = rebuild(data, "--apply", "--yes")
    assert (code, report["differences"]) == (0, 0), report


@contextmanager
def resumed(data: Path) -> Iterator[System]:
    with System(data, OBSERVATORY_KEEP_JOBS_MAX="0") as system:
        system.request("POST", "/v1/queues/default/resume", {})
        yield system


def test_without_a_yes_only_the_statistics_are_mended(data: Path) -> None:
    spoil(data, SPOILT["a row"][0])
    spoil(data, SPOILT["a sum"][0])
    code, report = rebuild(data, "--apply")
    assert (code, report["mended"], report["differences"]) == (1, 1, 1)
    assert report["left"][0]["field"] == "result"


def test_an_event_that_is_gone_is_named_and_the_row_is_left_as_it_is(data: Path) -> None:
    spoil(data, "DELETE FROM events WHERE position = (SELECT max(position) FROM events WHERE type LIKE '%job.started%' AND stream LIKE 'job/%')")
    code, report = rebuild(data, "--apply", "--yes")
    assert code == 1
    assert any("is missing" in item["text"] for item in report["left"]), report


def test_a_whole_log_shows_no_difference(data: Path) -> None:
    code, report = rebuild(data, "--check")
    assert (code, report["differences"], report["items"]) == (0, 0, [])
    assert report["jobs"] > 10 and report["events"] > 50


def test_a_folder_without_data_is_said_so(tmp_path: Path) -> None:
    done = console(NOWHERE, "rebuild", environment={"OBSERVATORY_DATA": str(tmp_path)})
    assert done.returncode == 2
    assert "there is no data" in done.stderr


def test_the_running_system_audits_itself_on_demand(data: Path) -> None:
    spoil(data, SPOILT["a row"][0])
    with System(data, OBSERVATORY_KEEP_JOBS_MAX="0") as system:
        assert system.request("GET", "/v1/audit").json()["status"] == "never"
        assert system.request("POST", "/v1/audit", {}).status == 202
        found = wait_until(lambda: now if (now := system.request("GET", "/v1/audit").json())["status"] != "running" else None)
        assert (found["status"], found["differences"]) == ("finished", 1)
        assert found["items"][0]["field"] == "result"
