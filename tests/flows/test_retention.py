"""Ended jobs go once they are old or too many, while work goes on and the plug is pulled; figures stay right."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

from tests.support.checker import check
from tests.support.system import System
from tests.support.waiting import wait_until

KEEPING = {"OBSERVATORY_KEEP_JOBS_MAX": "60", "OBSERVATORY_TICK_SECONDS": "0.2", "OBSERVATORY_WORKERS": "2"}


def submit(system: System, round_: int, jobs: int) -> None:
    batch = {"jobs": [{"type": "demo.noop", "payload": {"echo": n}, "idempotency_key": f"{round_}-{n}"} for n in range(jobs)]}
    assert system.request("POST", "/v1/jobs/batch", batch).status == 200


def stats(system: System) -> dict[str, int]:
    found = system.request("GET", "/v1/stats").json()
    return {"accepted": found["accepted"], "dropped": found["dropped"], "lag": found["lag"], **found["states"]}


def test_the_oldest_go_while_jobs_come_and_the_plug_is_pulled(tmp_path: Path) -> None:
    system = System(tmp_path / "data", **KEEPING)
    for round_ in range(4):
        system.start()
        submit(system, round_, 150)
        wait_until(lambda least=100 * round_ + 20: stats(system)["dropped"] >= least)
        system.kill()
    system.start()
    try:
        found = wait_until(lambda: now if (now := stats(system))["dropped"] >= 540 and not now["lag"] else None)
        assert found["accepted"] == 600
        assert found["succeeded"] + found["dropped"] == 600
        assert found["succeeded"] <= 61
        listed = system.request("GET", "/v1/jobs?limit=200").json()["items"]
        assert len(listed) == found["succeeded"]
        assert system.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {"echo": 0}}, {"idempotency-key": "0-0"}).json()["status"] == "succeeded"
        with urlopen(Request(f"{system.url}/v1/stream", headers={"last-event-id": "1"}), timeout=10) as stream:
            assert b"event: reset" in b"".join(stream.readline() for _ in range(7))
    finally:
        assert system.stop() == 0
    database = tmp_path / "data" / "observatory.db"
    assert check(database, quiescent=True) == []
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone()[0] < 600


def test_old_jobs_go_by_their_status_and_the_rest_stays(tmp_path: Path) -> None:
    seconds = 1 / 86_400
    with System(tmp_path / "data", OBSERVATORY_KEEP_SUCCEEDED_DAYS=str(seconds / 2), OBSERVATORY_TICK_SECONDS="0.2") as system:
        done = system.submit("demo.noop")
        lost = system.submit("demo.fail", {"times": 9}, max_attempts=1)
        system.ended(done)
        system.ended(lost)
        last = system.submit("demo.noop")
        wait_until(lambda: system.request("GET", f"/v1/jobs/{done}").status == 404)
        assert system.job(lost)["status"] == "failed"
        assert system.job(last)["status"] == "succeeded"  # the newest stays
