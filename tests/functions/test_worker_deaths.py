"""The worker pool with handlers that hang, die, or are killed: nobody else pays for it, and nothing runs twice."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from functions.processor import workers
from tests.support.worker_pool import Watched, assignment, is_alive, read_when_there, running

# ---- timeouts and dead workers


@pytest.mark.parametrize(("task_type", "payload", "said"), [
    ("pool.spin", {}, "spinning\n"), ("pool.regex", {}, "matching\n"), ("pool.regex", {"sleep": True}, "matching\n"),
])  # fmt: skip
async def test_a_hung_handler_ends_at_its_timeout(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task_type: str, payload: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(workers, "TRACE_SECONDS", 1.0)  # on a busy machine, too
    mark = tmp_path / "mark"
    outcome = await watched.run(task_type, {**payload, "mark": str(mark)}, timeout_seconds=1.0)
    assert outcome.kind == "timed_out"
    assert outcome.output == said
    assert outcome.error is not None
    assert "timeout of 1 s" in outcome.error["message"]
    assert "worker_pool_tasks.py" in outcome.error["traceback"], "it says where it hung"
    assert outcome.ran_micros >= 1_000_000
    assert not is_alive(int(mark.read_text()))
    assert (await watched.run("pool.echo", {"n": 1})).kind == "succeeded"


async def test_a_stopped_worker_ends_at_the_timeout(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("stopped", "pool.sleep", {"seconds": 60, "mark": str(mark)}, timeout_seconds=0.5)
    pid = int(await read_when_there(mark, watched))
    os.kill(pid, signal.SIGSTOP)
    assert ("stopped", 1) in watched.pool.held()
    outcome = await watched.outcome("stopped")
    assert outcome.kind == "timed_out"
    assert not is_alive(pid)


async def test_an_idle_worker_that_is_stopped_holds_no_job_back() -> None:
    async with running(2) as watched:
        pid = int((await watched.run("pool.echo")).worker.removeprefix("worker-"))
        os.kill(pid, signal.SIGSTOP)
        try:
            for n in range(50):
                watched.submit(f"job-{n}", "pool.echo")
            for n in range(50):
                assert (await watched.outcome(f"job-{n}", seconds=5)).kind == "succeeded"
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("os._exit", "worker_died", "exit code 3"),
        ("sys.exit", "failed", "sys.exit('enough')"),
        ("SIGSEGV", "worker_died", "SIGSEGV"),
        ("SIGTERM", "worker_died", "SIGTERM"),
        ("SIGKILL", "worker_died", "SIGKILL"),
    ],
)
async def test_a_handler_that_ends_its_process_is_one_failed_attempt(watched: Watched, how: str, kind: str, words: str) -> None:
    outcome = await watched.run("pool.exit", {"how": how})
    assert outcome.kind == kind
    assert outcome.error is not None
    assert words in outcome.error["message"]
    assert str(outcome.output).startswith("leaving\n")
    assert (await watched.run("pool.echo", {"n": 1})).kind == "succeeded"


async def test_a_handler_that_forks_has_one_outcome(watched: Watched) -> None:
    assert (await watched.run("pool.exit", {"how": "fork"})).kind == "succeeded"
    assert (await watched.run("pool.echo")).kind == "succeeded"
    assert watched.repeated == []


async def test_a_worker_killed_from_outside_costs_its_running_job_alone(tmp_path: Path) -> None:
    async with running(1) as watched:
        for n in range(30):
            assert (await watched.run("pool.echo", {"n": n})).kind == "succeeded"
        mark = tmp_path / "mark"
        watched.submit("victim", "pool.sleep", {"seconds": 60, "mark": str(mark)})
        for n in range(30):
            watched.submit(f"other-{n}", "pool.echo", {"n": n})
        os.kill(int(await read_when_there(mark, watched)), signal.SIGKILL)
        assert (await watched.outcome("victim")).kind == "worker_died"
        assert {(await watched.outcome(f"other-{n}")).kind for n in range(30)} == {"succeeded"}


async def test_programs_that_a_handler_started_end_with_it(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outcome = await watched.run("pool.background", {"mark": str(mark)}, timeout_seconds=1.0)
    assert outcome.kind == "timed_out"
    worker, program = map(int, mark.read_text().split())
    await watched.until(lambda: not is_alive(worker) and not is_alive(program))


async def test_when_the_starter_dies_another_takes_its_place(watched: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    watched.submit("victim", "pool.sleep", {"seconds": 60, "mark": str(mark)})
    worker = int(await read_when_there(mark, watched))
    starter = watched.pool._starters.current
    assert starter is not None
    starter.process.kill()
    for n in range(20):
        watched.submit(f"after-{n}", "pool.echo", {"n": n})
    assert (await watched.outcome("victim")).kind == "worker_died"
    kinds = Counter([(await watched.outcome(f"after-{n}")).kind for n in range(20)])
    assert kinds["worker_died"] <= 1, "the other worker may have begun one before it died, too"
    assert kinds["succeeded"] >= 19
    assert not is_alive(worker)


# ---- nobody waits behind a hung job, and nothing runs twice


async def test_quick_jobs_do_not_wait_behind_a_hung_one(watched: Watched, tmp_path: Path) -> None:
    for n in range(10):  # so that the pool takes this type for a quick one, and batches it
        await watched.run("pool.record", {"file": str(tmp_path / "warm"), "n": n})
    ledger = tmp_path / "ledger"
    jobs = [assignment(f"job-{n}", "pool.record", {"file": str(ledger), "n": n, "seconds": 3 if n == 0 else 0}) for n in range(200)]
    watched.pool.submit(jobs)
    await watched.outcome("job-0")
    assert watched.order[-1].job_id == "job-0"
    assert (await watched.outcome("job-0")).kind == "succeeded"
    assert sorted(int(line.split()[0]) for line in ledger.read_text().splitlines()) == list(range(200))


async def test_quick_jobs_do_not_wait_behind_c_code_that_keeps_the_lock(watched: Watched, tmp_path: Path) -> None:
    for n in range(10):
        await watched.run("pool.echo", {"n": n})
    watched.submit("hung", "pool.regex", {"mark": str(tmp_path / "mark"), "sleep": True})
    await read_when_there(tmp_path / "mark", watched)
    for n in range(100):
        watched.submit(f"quick-{n}", "pool.echo")
    for n in range(100):
        assert (await watched.outcome(f"quick-{n}")).kind == "succeeded"
    assert ("hung", 1) in watched.pool.held()


async def test_five_thousand_quick_jobs_run_once_each_while_workers_are_killed(tmp_path: Path) -> None:
    ledger, chance, count = tmp_path / "ledger", random.Random(20261124), 5000
    async with running(2) as watched:
        waiting = iter([assignment(f"job-{n}", "pool.record", {"file": str(ledger), "n": n}) for n in range(count)])

        def feed() -> None:
            watched.pool.submit([job for _, job in zip(range(watched.pool.wanted()), waiting, strict=False)])

        watched.feed = feed
        feed()
        kills = 0
        while len(watched.outcomes) < count:
            await asyncio.sleep(chance.uniform(0.002, 0.02))
            pids = [worker.pid for worker in watched.pool._workers if worker.pid is not None]
            if pids and kills < 60:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
                kills += 1
        kinds = Counter(outcome.kind for outcome in watched.outcomes.values())
    print(kinds, kills)
    ran = Counter(int(line.split()[0]) for line in ledger.read_text().splitlines())
    assert watched.repeated == []
    assert [n for n, times in ran.items() if times > 1] == [], "none runs twice"
    done = {int(job.removeprefix("job-")) for (job, _), outcome in watched.outcomes.items() if outcome.kind == "succeeded"}
    assert done <= set(ran), "what succeeded ran"
    assert kinds["succeeded"] + kinds["worker_died"] == count
    assert kinds["worker_died"] <= kills, "a kill costs one job at most"
    assert kills >= 5


async def test_a_type_that_kills_its_worker_costs_the_others_little() -> None:
    async with running(2) as watched:
        for n in range(10):
            await watched.run("pool.echo", {"n": n})

        async def kills_beside(prefix: str, killers: int, count: int = 6000) -> int:
            """Workers that died while any of so many good jobs still waited."""
            jobs = [assignment(f"{prefix}-{n}", "pool.echo", {"n": n}) for n in range(count)]
            for n in range(killers):
                jobs.insert(n * (count // killers), assignment(f"{prefix}-killer-{n}", "pool.exit", {"how": "SIGKILL"}))
            waiting = iter(jobs)

            def feed() -> None:
                watched.pool.submit([job for _, job in zip(range(watched.pool.wanted()), waiting, strict=False)])

            watched.feed = feed
            before = len(watched.order)
            feed()
            others = [(f"{prefix}-{n}", 1) for n in range(count)]
            await watched.until(lambda: all(key in watched.outcomes for key in others[-50:]) and all(map(watched.outcomes.get, others)))
            return sum("killer" in outcome.job_id for outcome in watched.order[before:])

        first, again = await kills_beside("first", 60), await kills_beside("again", 60)
        await watched.until(lambda: sum(1 for job, _ in watched.outcomes if "killer" in job) == 120)
        assert {o.kind for (job, _), o in watched.outcomes.items() if "killer" in job} == {"worker_died"}
        assert {o.kind for (job, _), o in watched.outcomes.items() if "killer" not in job} == {"succeeded"}
        assert max(first, again) <= 10, "of 60 that are as old as the others; twice as many without their pauses"
