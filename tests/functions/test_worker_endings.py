"""The ends of what runs in the worker pool: cancelled, dropped, drained, stopped, killed with its function, reloaded."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigurationError, Draining
from functions.processor import pace, workers
from functions.processor.workers import WorkerPool
from tests.support.worker_pool import Watched, is_alive, read_when_there, running

ROOT = Path(__file__).resolve().parents[2]


# ---- cancel, drop, drain


async def test_a_handler_that_heeds_a_cancel_ends_at_once(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("heeds", "pool.sleep", {"seconds": 60, "heeds": True, "mark": str(mark)})
    pid = int(await read_when_there(mark, watched))
    watched.pool.cancel("heeds", 1)
    outcome = await watched.outcome("heeds")
    assert outcome.kind == "cancelled"
    assert is_alive(pid), "nobody had to be killed"


async def test_a_handler_that_ends_well_in_spite_of_a_cancel_has_succeeded(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("returns", "pool.sleep", {"seconds": 60, "returns": True, "mark": str(mark)})
    await read_when_there(mark, watched)
    watched.pool.cancel("returns", 1)
    assert (await watched.outcome("returns")).result == "stopped early"


@pytest.mark.parametrize(("task_type", "payload"), [("pool.spin", {}), ("pool.regex", {"sleep": True})])
async def test_a_handler_that_does_not_heed_a_cancel_is_killed(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task_type: str, payload: dict[str, Any]
) -> None:
    monkeypatch.setattr(workers, "CANCEL_GRACE_SECONDS", 0.2)
    mark = tmp_path / "mark"
    watched.submit("deaf", task_type, {**payload, "mark": str(mark)})
    pid = int(await read_when_there(mark, watched))
    watched.pool.cancel("deaf", 1)
    watched.pool.cancel("deaf", 1)
    outcome = await watched.outcome("deaf", seconds=5)
    assert outcome.kind == "cancelled"
    assert outcome.output is not None
    assert not is_alive(pid)


async def test_a_job_that_has_not_begun_is_cancelled_without_running(tmp_path: Path) -> None:
    async with running(1) as watched:
        mark = tmp_path / "mark"
        watched.submit("long", "pool.sleep", {"seconds": 60, "mark": str(mark), "heeds": True})
        await read_when_there(mark, watched)
        watched.submit("waiting", "pool.record", {"file": str(tmp_path / "ledger"), "n": 1})
        watched.pool.cancel("waiting", 1)
        assert (await watched.outcome("waiting")).kind == "cancelled"
        watched.pool.cancel("long", 1)
        await watched.outcome("long")
        assert not (tmp_path / "ledger").exists()


async def test_a_job_whose_lease_is_lost_is_killed_and_says_nothing(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("lost", "pool.spin", {"mark": str(mark)})
    pid = int(await read_when_there(mark, watched))
    watched.pool.drop("lost", 1)
    assert watched.pool.held() == []
    await watched.until(lambda: not is_alive(pid))
    assert (await watched.run("pool.echo")).kind == "succeeded"
    assert ("lost", 1) not in watched.outcomes


async def test_a_drain_lets_running_handlers_end_and_gives_the_rest_back(tmp_path: Path) -> None:
    async with running(1) as watched:
        mark = tmp_path / "mark"
        watched.submit("running", "pool.sleep", {"seconds": 0.3, "mark": str(mark)})
        await read_when_there(mark, watched)
        watched.submit("waiting", "pool.record", {"file": str(tmp_path / "ledger"), "n": 1})
        left = await watched.pool.drain(5)
        assert [item.job_id for item in left] == ["waiting"]
        assert watched.outcomes["running", 1].kind == "succeeded"
        assert watched.pool.wanted() == 0
        assert watched.pool.held() == []
        with pytest.raises(Draining):
            watched.submit("late", "pool.echo")
        assert not (tmp_path / "ledger").exists()


async def test_jobs_of_a_type_that_always_fails_wait_for_its_turn_and_a_drain_gives_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "OTHERS_SECONDS", 60.0)  # somebody else was there just now, however slow the machine is
    async with running(1) as watched:
        assert (await watched.run("pool.echo")).kind == "succeeded"
        names = [f"bad-{number}" for number in range(60)]
        for name in names:
            watched.submit(name, "pool.raise", {"kind": "value"})
        await watched.until(lambda: sum(name == job_id for job_id, _ in watched.outcomes for name in names) >= pace.FAILURES)
        assert watched.pool.held_back().types == {"pool.raise"}
        assert watched.pool.wanted() > 0  # they take no room from others
        assert (await watched.run("pool.echo")).kind == "succeeded"
        left = {item.job_id for item in await watched.pool.drain(5)}
        assert len(left) >= 30
        assert left == {name for name in names if (name, 1) not in watched.outcomes}
        assert watched.pool.held() == []


async def test_a_drain_kills_what_outlasts_its_grace_and_gives_it_back(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("endless", "pool.spin", {"mark": str(mark)})
    pid = int(await read_when_there(mark, watched))
    left = await watched.pool.drain(0.1)
    assert [item.job_id for item in left] == ["endless"]
    assert not is_alive(pid)
    assert watched.outcomes == {}


# ---- the life of the processes


async def test_no_process_outlives_a_stopped_pool(tmp_path: Path) -> None:
    async with running(2) as watched:
        mark = tmp_path / "mark"
        watched.submit("background", "pool.background", {"mark": str(mark)})
        pids = [int(word) for word in (await read_when_there(mark, watched)).split()]
        starter = watched.pool._starters.current
        assert starter is not None
        pids += [starter.process.pid, *(w.pid for w in watched.pool._workers if w.pid)]
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for pid in pids:
        await watched.until(lambda pid=pid: not is_alive(pid))
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors


PARENT = """
import asyncio, sys, time
from functions.processor.workers import WorkerPool, Assignment

async def main(marks):
    async def store(*a): return a[-1]
    pool = WorkerPool(3, ["tests.functions.worker_pool_tasks"], clock=lambda: time.time_ns() // 1000,
        on_outcomes=lambda o: None, on_progress=lambda *a: None, store_effect=store)
    await pool.start()
    for n, (kind, mark) in enumerate(zip(["pool.spin", "pool.regex", "pool.background"], marks)):
        payload = {"mark": mark, "sleep": True}
        pool.submit([Assignment(str(n), 1, 1, 5, kind, "default", payload, 600.0, None, {})])
    while not all(map(written, marks)):
        await asyncio.sleep(0.01)
    print(pool._starters.current.process.pid, *(w.pid for w in pool._workers), flush=True)
    await asyncio.sleep(600)

def written(mark):
    try:
        return bool(open(mark).read())
    except FileNotFoundError:
        return False

asyncio.run(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("whom", ["parent", "stopped starter", "starter and parent"])
async def test_no_handler_outlives_a_killed_function(tmp_path: Path, whom: str) -> None:
    marks = [tmp_path / name for name in ("spin", "regex", "background")]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *map(str, marks)], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert parent.stdout is not None
    starter, *workers_ = map(int, parent.stdout.readline().split())
    programs = [int(pid) for mark in marks for pid in mark.read_text().split()]
    if whom == "stopped starter":
        os.kill(starter, signal.SIGSTOP)
    if whom == "starter and parent":
        os.kill(starter, signal.SIGKILL)
        programs = programs[:-1]  # the program of a handler is out of reach when both are killed at once
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 5
    while left := [pid for pid in {starter, *workers_, *programs} if is_alive(pid)]:
        assert time.monotonic() < end, left
        await asyncio.sleep(0.01)


async def test_a_module_that_does_not_import_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_tasks.py").write_text("import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def start(module: str) -> str:
        pool = WorkerPool(1, [module], clock=lambda: 0, on_outcomes=lambda o: None, on_progress=lambda *a: None, store_effect=_never)
        with pytest.raises(ConfigurationError) as caught:
            await pool.start()
        return caught.value.message

    assert "'broken_tasks' does not import: ModuleNotFoundError: No module named 'nothing_of_that_name'" in await start("broken_tasks")
    assert "there is no task module 'absent_tasks'" in await start("absent_tasks")


async def _never(job_id: str, token: int, step: str, value: Any) -> Any:
    raise AssertionError


async def test_reloaded_modules_serve_new_jobs_while_old_attempts_end_on_the_old_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "reloaded_tasks.py"
    source = (
        "import time\nfrom functions.processor.tasks import task\n@task('reloaded.version')\n"
        "def version(payload):\n    time.sleep(payload.get('seconds', 0))\n    return 'old'\n"
    )
    module.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    watched = Watched()
    watched.pool._starters.modules.append("reloaded_tasks")
    await watched.pool.start()
    try:
        old = watched.pool._starters.current
        assert old is not None
        watched.submit("running", "reloaded.version", {"seconds": 0.5})
        module.write_text("this is no Python")
        with pytest.raises(ConfigurationError, match="SyntaxError"):
            await watched.pool.reload()
        assert (await watched.run("reloaded.version")).result == "old"
        module.write_text(source.replace("'old'", "'brand new'"))
        await watched.pool.reload()
        assert (await watched.run("reloaded.version")).result == "brand new"
        assert (await watched.outcome("running")).result == "old"
        await watched.until(lambda: old.process.poll() is not None)
    finally:
        await watched.pool.stop()
