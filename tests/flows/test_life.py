"""A job's life in the running system, and the system's own: timeouts, crashes, retries, restarts, drains, a full disk."""

import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until

SETTINGS = {
    "OBSERVATORY_TASKS": "tests.flows.flow_tasks", "OBSERVATORY_LEASE_SECONDS": "2", "OBSERVATORY_RENEW_SECONDS": "0.4", "OBSERVATORY_TICK_SECONDS": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("flow") / "data", **SETTINGS) as system:
        yield system


def attempts(system: System, job_id: str) -> list[Any]:
    return system.request("GET", f"/v1/jobs/{job_id}/attempts").json()["items"]


def story(system: System, job_id: str) -> list[str]:
    return [event["type"].split(".")[3] for event in system.request("GET", f"/v1/jobs/{job_id}/events").json()["items"]]


def output(system: System, job_id: str) -> str:
    token = attempts(system, job_id)[-1]["lease_token"]
    return system.request("GET", f"/v1/jobs/{job_id}/attempts/{token}/log").body.decode()


# ---- handlers that misbehave ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flow.loop", "flow.c-code"])
def test_a_hung_handler_ends_at_its_timeout(flow: System, kind: str) -> None:
    beside = flow.submit("demo.noop")
    job = flow.ended(flow.submit(kind))
    assert job["status"] == "failed"
    (attempt,) = attempts(flow, job["id"])
    assert attempt["outcome"] == "timed_out"
    assert flow.ended(beside)["status"] == "succeeded"
    if kind == "flow.loop":
        assert "into the loop" in output(flow, job["id"])


def test_a_worker_that_dies_is_an_attempt_that_failed(flow: System) -> None:
    job = flow.ended(flow.submit("flow.die"))
    assert job["status"] == "succeeded" and job["result"] == {"attempt": 2}
    first, second = attempts(flow, job["id"])
    assert first["outcome"] == "worker_died" and "7" in first["error"]["message"]
    assert second["outcome"] == "succeeded"
    assert flow.request("GET", "/health/readiness").status == 200


def test_what_a_handler_printed_logged_and_raised_is_kept(flow: System) -> None:
    job = flow.ended(flow.submit("flow.talk"))
    text = output(flow, job["id"])
    assert "printed" in text and "logged" in text and "from a child" in text
    assert job["error"]["type"] == "ValueError" and "this is why" in job["error"]["traceback"]


def test_how_a_handler_wants_to_go_on(flow: System) -> None:
    jobs = {kind: flow.submit(kind) for kind in ("flow.permanent", "flow.retry", "flow.snooze", "flow.async")}
    done = {kind: flow.ended(job_id) for kind, job_id in jobs.items()}
    assert (done["flow.permanent"]["status"], done["flow.permanent"]["attempt"]) == ("failed", 1)
    assert done["flow.retry"]["result"] == 2
    assert done["flow.snooze"]["result"] == {"attempt": 1}  # a snooze gives its attempt back
    assert "released" in story(flow, jobs["flow.snooze"])
    assert done["flow.async"]["result"] == "awaited"


def test_a_step_that_was_finished_is_not_run_again(flow: System, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    job = flow.ended(flow.submit("flow.steps", {"ledger": str(ledger)}))
    assert job["result"] == ["one", "two"] and job["attempt"] == 2
    assert ledger.read_text().split() == ["one", "two"]
    told = flow.request("GET", f"/v1/jobs/{job['id']}/steps").json()
    assert told["items"] == [{"step": "one", "bytes": 5}, {"step": "two", "bytes": 5}]
    assert flow.request("GET", "/v1/jobs/none/steps").status == 404


@pytest.mark.parametrize("inside", [False, True], ids=["after a step", "inside a step"])
def test_a_job_killed_at_every_step_goes_on_after_its_last_finished_one(flow: System, tmp_path: Path, inside: bool) -> None:
    ledger = tmp_path / "ledger"
    job = flow.ended(flow.submit("flow.ladder", {"ledger": str(ledger), "inside": inside}), 60)
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", [1, 2, 3, 4], 5)
    steps = [1, 1, 2, 2, 3, 3, 4, 4] if inside else [1, 2, 3, 4]  # what was not stored runs again, and nothing else does
    assert [int(number) for number in ledger.read_text().split()] == steps


# ---- time -------------------------------------------------------------------------------------------------------


def test_a_delayed_job_waits_for_its_time(flow: System) -> None:
    job = flow.ended(flow.submit("demo.noop", delay_seconds=0.7))
    events = flow.request("GET", f"/v1/jobs/{job['id']}/events").json()["items"]
    assert [event["type"].split(".")[3] for event in events] == ["accepted", "scheduled", "queued", "started", "succeeded"]
    assert job["started_at"] >= events[1]["data"]["run_at"]


def test_a_failed_attempt_is_tried_again_after_its_backoff(flow: System) -> None:
    job = flow.ended(flow.submit("demo.fail", {"times": 2}), 30)
    assert job["status"] == "succeeded" and job["attempt"] == 3
    assert story(flow, job["id"]) == ["accepted", "queued", *["started", "retrying", "queued"] * 2, "started", "succeeded"]


def test_what_has_not_started_by_its_expiry_never_starts(flow: System) -> None:
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    job = flow.ended(flow.submit("demo.noop", delay_seconds=60, expires_at=expires))
    assert job["status"] == "cancelled" and "started" not in story(flow, job["id"])


def test_the_higher_priority_starts_first(flow: System) -> None:
    flow.request("POST", "/v1/queues/bulk/pause")
    priorities = [0, 5, 9, 4, 9, 1]
    jobs = [flow.submit("demo.noop", priority=priority, queue="bulk") for priority in priorities]
    flow.request("POST", "/v1/queues/bulk/resume")
    for job_id in jobs:
        flow.ended(job_id)
    started = [int(flow.request("GET", f"/v1/jobs/{job_id}/events").json()["items"][2]["position"]) for job_id in jobs]
    order = [priority for _, priority in sorted(zip(started, priorities, strict=True))]
    assert order == sorted(priorities, reverse=True)


def test_progress_is_told_while_it_runs(flow: System) -> None:
    job = flow.ended(flow.submit("demo.sleep", {"seconds": 1.5}))
    assert job["progress"]["fraction"] == 1.0
    assert story(flow, job["id"]).count("progressed") >= 2


def test_a_running_job_that_is_cancelled_ends_within_ten_seconds(flow: System) -> None:
    polite, rude = flow.submit("flow.slow", {"seconds": 25}), flow.submit("flow.slow", {"seconds": 25}, timeout_seconds=30)
    for job_id in (polite, rude):
        wait_until(lambda job_id=job_id: flow.job(job_id)["status"] == "running")
        assert flow.request("POST", f"/v1/jobs/{job_id}/cancel", {"reason": "enough"}).status == 202
    for job_id in (polite, rude):
        assert flow.ended(job_id, 10)["status"] in ("cancelled", "succeeded")


# ---- fencing ----------------------------------------------------------------------------------------------------


def test_a_system_that_slept_past_its_leases_changes_nothing_late(flow: System) -> None:
    """SIGSTOP to parent and workers, past the lease, then SIGCONT: each job still ends once."""
    assert flow.process is not None
    jobs = [flow.submit("flow.slow", {"seconds": 0.3}) for _ in range(6)]
    wait_until(lambda: any(flow.job(job_id)["status"] == "running" for job_id in jobs))
    members = group(flow.process.pid)
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3.0)  # longer than the lease: time itself is what is tested
    for pid in members:
        os.kill(pid, signal.SIGCONT)
    for job_id in jobs:
        assert flow.ended(job_id, 30)["status"] == "succeeded"
        names = story(flow, job_id)
        assert names.count("succeeded") == 1 and names[-1] == "succeeded"


def group(pid: int) -> list[int]:
    """A process with all its descendants."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if os.getpgid(int(entry.name)) == os.getpgid(pid) or int(fields[1]) == pid:
                    found.append(int(entry.name))
    for child in found[1:]:
        found += [int(p) for p in subprocess.run(["pgrep", "-P", str(child)], capture_output=True, text=True).stdout.split()]
    return list(dict.fromkeys(found))


# ---- the system's own life --------------------------------------------------------------------------------------


def test_a_restart_goes_on_with_what_was_there(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **SETTINGS) as first:
        later = first.submit("demo.noop", delay_seconds=2)
        running = first.submit("flow.slow", {"seconds": 20})
        wait_until(lambda: first.job(running)["status"] == "running")
        first.kill()
    with running_system(tmp_path / "data", **SETTINGS, OBSERVATORY_DRAIN_SECONDS="0.2") as second:
        assert "1 rescued" in wait_until(lambda: second.said() if "rescued" in second.said() else None)
        assert second.ended(later)["status"] == "succeeded"
        assert "retrying" in wait_until(lambda: names if "retrying" in (names := story(second, running)) else None)


def test_one_sigint_drains_and_loses_no_work(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **SETTINGS) as system:
        assert system.process is not None
        job_id = system.submit("flow.slow", {"seconds": 1.0})
        wait_until(lambda: system.job(job_id)["status"] == "running")
        system.process.send_signal(signal.SIGINT)
        assert system.process.wait(20) == 0
        assert "waits for 1 running" in system.said()
    assert row(system.data, job_id) == ("succeeded", 1)


def test_two_sigints_stop_at_once_and_the_next_start_rescues(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **SETTINGS) as system:
        assert system.process is not None
        job_id = system.submit("flow.slow", {"seconds": 20})
        wait_until(lambda: system.job(job_id)["status"] == "running")
        system.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Stopping" in system.said())
        system.process.send_signal(signal.SIGINT)
        assert system.process.wait(5) == 130
    assert row(system.data, job_id) == ("running", 1)


def test_a_drain_that_runs_out_of_time_gives_the_attempt_back(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **SETTINGS, OBSERVATORY_DRAIN_SECONDS="0.3") as system:
        job_id = system.submit("flow.slow", {"seconds": 20})
        wait_until(lambda: system.job(job_id)["status"] == "running")
        assert system.stop() == 0
    assert row(system.data, job_id) == ("queued", 0)  # released: the attempt does not count


def row(data: Path, job_id: str) -> tuple[str, int]:
    connection = sqlite3.connect(data / "observatory.db")
    try:
        return connection.execute("SELECT status, attempt FROM jobs WHERE id = ?", (job_id,)).fetchone()
    finally:
        connection.close()


def start(data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}
    variables = {**inherited, "OBSERVATORY_DATA": str(data), "OBSERVATORY_PORT": "0", **environment}
    return subprocess.run([sys.executable, "-m", "functions.runtime.local"], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=30)


def test_a_second_start_on_the_same_folder_says_what_runs_and_exits_0(system: System) -> None:
    assert system.process is not None
    done = start(system.data)
    assert done.returncode == 0
    assert str(system.process.pid) in done.stdout and system.url in done.stdout


def test_a_port_that_is_held_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = start(tmp_path / "data", OBSERVATORY_PORT=str(other.getsockname()[1]))
    assert done.returncode == 1
    assert "OBSERVATORY_PORT" in done.stderr and "Traceback" not in done.stderr


def test_a_newer_data_folder_is_refused_in_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    connection = sqlite3.connect(data / "observatory.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    done = start(data)
    assert done.returncode == 1
    assert "999" in done.stderr and "OBSERVATORY_DATA" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OBSERVATORY_PORT", "many"), ("OBSERVATORY_WORKERS", "-1"), ("OBSERVATORY_LOG_FORMAT", "xml"), ("OBSERVATORY_TASKS", "no_such_module"),
     ("OBSERVATORY_DATA", "/proc/nowhere")],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_named(tmp_path: Path, variable: str, value: str) -> None:
    done = start(tmp_path / "data", **{variable: value})
    assert done.returncode == 1, done.stdout
    assert (variable in done.stderr or value in done.stderr) and "Traceback" not in done.stderr, done.stderr


def test_a_full_disk_answers_503_and_keeps_what_was_accepted(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **SETTINGS) as system:
        assert system.process is not None
        accepted = [system.submit("demo.noop") for _ in range(5)]
        size = (system.data / "observatory.db-wal").stat().st_size
        resource.prlimit(system.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        statuses = []
        for number in range(40):
            answer = system.request("POST", "/v1/jobs", {"type": "text.statistics", "payload": {"text": "x" * 50_000}}, {"idempotency-key": f"full-{number}"})
            statuses.append(answer.status)
            if answer.status == 202:
                accepted.append(answer.json()["id"])
        assert 503 in statuses and set(statuses) <= {202, 503}
        assert answer.headers.get("retry-after") or answer.status == 202
        resource.prlimit(system.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: system.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {}}).status == 202)
        for job_id in accepted:
            assert system.ended(job_id, 30)["status"] == "succeeded"
    assert "Traceback" not in system.said()
