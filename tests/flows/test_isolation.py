"""I18: a type that always fails at once, or kills its worker, leaves the others nine tenths of the work that is done.

How fast that is on a busy machine is `make bench`'s; here the log says whose attempts began while others waited.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import System, running_system
from tests.support.waiting import wait_until

WELL = 1_500
OFFENDERS = 300
STARTS = """SELECT json_extract(body, '$.jobtype') FROM events WHERE position > ? AND type = 'dev.observatory.job.started.v1' ORDER BY position"""


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"OBSERVATORY_TASKS": "tests.flows.isolation_tasks", "OBSERVATORY_TICK_SECONDS": "1", "OBSERVATORY_DRAIN_SECONDS": "0"}
    with running_system(tmp_path_factory.mktemp("isolation") / "data", **settings) as system:
        yield system


def submit(system: System, job_type: str, count: int) -> None:
    for begin in range(0, count, 500):
        jobs = [{"type": job_type, "payload": {}}] * min(500, count - begin)
        assert system.request("POST", "/v1/jobs/batch", {"jobs": jobs}).status == 200


def rows(system: System, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{Path(system.data) / 'observatory.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def left(system: System, job_type: str) -> int:
    return rows(system, "SELECT coalesce(sum(jobs), 0) FROM counts WHERE type = ? AND status NOT IN ('succeeded', 'failed')", job_type)[0][0]


def others_wait_until(system: System, condition: Callable[[], bool]) -> int:
    """Submits so many of the others, and says how many, that some still wait when the condition comes true."""
    sent = 0

    def met() -> bool:
        nonlocal sent
        come_true = condition()
        if come_true or left(system, "isolation.well") < WELL / 2:
            submit(system, "isolation.well", WELL // 3)
            sent += WELL // 3
        return come_true

    wait_until(met, 60)
    return sent


@pytest.mark.parametrize(("offender", "few"), [("isolation.fail", 40), ("isolation.kill", 4)])
def test_a_type_that_does_no_good_leaves_the_others_nine_tenths(isolated: System, offender: str, few: int) -> None:
    """Though all its jobs are older than theirs."""
    submit(isolated, offender, few)  # it becomes known
    submit(isolated, "isolation.well", 40)
    wait_until(lambda: left(isolated, "isolation.well") == 0 and left(isolated, offender) == 0, 60)

    isolated.request("POST", "/v1/queues/default/pause")
    submit(isolated, offender, OFFENDERS)
    submit(isolated, "isolation.well", WELL)
    ((head,),) = rows(isolated, "SELECT max(position) FROM events")
    isolated.request("POST", "/v1/queues/default/resume")
    sent = WELL + others_wait_until(isolated, lambda: any(job_type == offender for (job_type,) in rows(isolated, STARTS, head)))
    wait_until(lambda: left(isolated, "isolation.well") == 0, 60)

    starts = [job_type for (job_type,) in rows(isolated, STARTS, head)]
    last = max(place for place, job_type in enumerate(starts) if job_type == "isolation.well")
    beside = starts[:last].count(offender)
    assert starts[: last + 1].count("isolation.well") == sent
    assert 1 <= beside <= sent / 10, f"{beside} attempts of {offender} beside {sent}"
    wait_until(lambda: left(isolated, offender) < OFFENDERS, 60)  # and then they, too, go on
