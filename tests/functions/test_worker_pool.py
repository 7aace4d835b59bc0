"""The worker pool with real processes, and handlers that misbehave."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigurationError, Draining, LeaseLost
from functions.processor import pace, workers
from functions.processor.workers import Assignment, Outcome, WorkerPool

TASKS = "tests.functions.worker_pool_tasks"
ROOT = Path(__file__).resolve().parents[2]


class Watched:
    """A pool of which every word is kept."""

    def __init__(self, size: int = 2, **options: Any) -> None:
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.order: list[Outcome] = []
        self.repeated: list[Outcome] = []
        self.progress: dict[str, list[Any]] = defaultdict(list)
        self.effects: dict[tuple[str, str], Any] = {}
        self.lost: set[str] = set()
        self.changed = asyncio.Event()
        self.feed: Callable[[], None] = lambda: None
        self.pool = WorkerPool(
            size,
            [TASKS],
            clock=lambda: time.time_ns() // 1000,
            on_outcomes=self._on_outcomes,
            on_progress=lambda job, token, said: self.progress[job].append(said),
            store_effect=self._store,
            **options,
        )

    def _on_outcomes(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            key = (outcome.job_id, outcome.lease_token)
            if key in self.outcomes:
                self.repeated.append(outcome)
            self.outcomes[key] = outcome
            self.order.append(outcome)
        self.feed()
        self.changed.set()

    async def _store(self, job_id: str, token: int, step: str, value: Any) -> Any:
        await asyncio.sleep(0)
        if job_id in self.lost:
            raise LeaseLost
        return self.effects.setdefault((job_id, step), value)

    def submit(self, job_id: str, task_type: str, payload: Any = None, **fields: Any) -> None:
        self.pool.submit([assignment(job_id, task_type, payload, **fields)])

    async def outcome(self, job_id: str, token: int = 1, seconds: float = 20) -> Outcome:
        await self.until(lambda: (job_id, token) in self.outcomes, seconds)
        return self.outcomes[job_id, token]

    async def until(self, met: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.01)

    async def run(self, task_type: str, payload: Any = None, **fields: Any) -> Outcome:
        job_id = f"{task_type}-{len(self.order)}-{time.monotonic_ns()}"
        self.submit(job_id, task_type, payload, **fields)
        return await self.outcome(job_id)


def assignment(job_id: str, task_type: str, payload: Any = None, **fields: Any) -> Assignment:
    values: dict[str, Any] = {
        "job_id": job_id, "lease_token": 1, "attempt": 1, "attempts_allowed": 5, "type": task_type, "queue": "default",
        "payload": payload or {}, "timeout_seconds": 20.0, "traceparent": None, "effects": {},
    }  # fmt: skip
    return Assignment(**{**values, **fields})


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def read_when_there(mark: Path, watched: Watched) -> str:
    await watched.until(lambda: mark.exists() and mark.read_text() != "")
    return mark.read_text()


@contextlib.asynccontextmanager
async def running(size: int = 2, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(size, **options)
    await watched.pool.start()
    try:
        yield watched
    finally:
        await watched.pool.stop()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with running() as watched:
        yield watched


# ---- results


async def test_a_job_comes_back_with_its_result_and_its_times(watched: Watched) -> None:
    before = time.time_ns() // 1000
    outcome = await watched.run("pool.echo", {"a": [1, {"b": None}]}, lease_token=1)
    assert (outcome.kind, outcome.result, outcome.error, outcome.output) == ("succeeded", {"a": [1, {"b": None}]}, None, None)
    assert before <= outcome.started_at <= time.time_ns() // 1000
    assert 0 <= outcome.ran_micros <= time.time_ns() // 1000 - before
    assert outcome.worker.startswith("worker-")
    assert watched.pool.held() == []


async def test_a_pool_lists_every_task() -> None:
    watched = Watched()
    catalogue = await watched.pool.start()
    await watched.pool.stop()
    assert {"demo.noop", "text.statistics", "pool.echo"} <= set(catalogue.types())
    assert catalogue.get("pool.order").schema["required"] == ["number"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("object", "is not JSON"),
        ("nan", "it holds nan"),
        ("large", "at most 1,048,576 are kept"),
        ("integer", "is not JSON"),
        ("surrogate", "is not JSON"),
        ("keys", "is not JSON"),
        ("deep", "is not JSON"),
    ],
)
async def test_a_result_that_is_no_json_fails_for_good(watched: Watched, kind: str, words: str) -> None:
    outcome = await watched.run("pool.result", {"kind": kind})
    assert outcome.kind == "permanent"
    assert outcome.error is not None
    assert words in outcome.error["message"]


async def test_results_come_back_as_json_has_them(watched: Watched) -> None:
    assert (await watched.run("pool.result", {"kind": "tuple"})).result == {"pair": [1, 2]}
    assert (await watched.run("pool.result", {"kind": "null"})).result == [None]
    assert (await watched.run("pool.result", {"kind": "dataclass"})).result == {"number": 1, "lines": [{"article": "tea", "count": 2}]}
    assert len((await watched.run("pool.result", {"kind": "nearly large"})).result) == (1 << 20) - 2


async def test_a_handler_gets_its_dataclass(watched: Watched) -> None:
    outcome = await watched.run("pool.order", {"number": 7, "lines": [{"article": "tea"}, {"article": "pots", "count": 2}]})
    assert outcome.result == "7: 1 tea, 2 pots"


async def test_what_a_handler_raises_decides_how_it_ended(watched: Watched) -> None:
    endings = {kind: await watched.run("pool.raise", {"kind": kind}) for kind in ("retry", "snooze", "permanent", "other", "base")}
    assert {kind: outcome.kind for kind, outcome in endings.items()} == {
        "retry": "failed", "snooze": "snoozed", "permanent": "permanent", "other": "failed", "base": "failed",
    }  # fmt: skip
    assert endings["retry"].after_seconds == 7
    assert endings["snooze"].after_seconds == 9
    error = endings["other"].error
    assert error is not None
    assert (error["type"], error["message"]) == ("ValueError", "bad luck")
    assert "in fail" in error["traceback"]
    assert "processor/attempt.py" not in error["traceback"], "only the handler's own frames"


async def test_errors_are_text_that_every_store_takes(watched: Watched) -> None:
    nul = (await watched.run("pool.raise", {"kind": "nul"})).error
    wordless = await watched.run("pool.raise", {"kind": "wordless"})
    assert nul is not None
    json.dumps(nul, ensure_ascii=False).encode()
    assert "\0" not in nul["message"] + nul["traceback"]
    assert wordless.kind == "failed"


async def test_an_unknown_type_is_a_failed_attempt(watched: Watched) -> None:
    outcome = await watched.run("no.such.task")
    assert outcome.kind == "failed"
    assert outcome.error is not None
    assert "OBSERVATORY_TASKS" in outcome.error["message"]


async def test_async_handlers_run_and_threads_may_use_the_context(watched: Watched) -> None:
    assert (await watched.run("pool.async", {"n": 21})).result == [42, 1]
    assert (await watched.run("pool.thread")).result == list(range(8))


async def test_a_large_payload_and_a_large_result_pass(watched: Watched) -> None:
    payload = {f"key {n}": "x" * 25_000 for n in range(10)}
    for n in range(6):
        watched.submit(f"large-{n}", "pool.echo", payload)
    for n in range(6):
        assert (await watched.outcome(f"large-{n}")).result == payload


async def test_workers_see_the_environment_that_is_given_to_them(tmp_path: Path) -> None:
    async with running(1, environment={**os.environ, "POOL_NAME": "Otto"}) as watched:
        outcome = await watched.run("pool.environ")
        assert outcome.result["NAME"] == "Otto"
        assert outcome.result["PYTHONPATH"] == os.environ.get("PYTHONPATH"), "programs that handlers start get none of ours"
        assert outcome.result["fds"] < 20


# ---- output


async def test_everything_that_is_printed_is_kept_whoever_prints_it(watched: Watched) -> None:
    output = (await watched.run("pool.print")).output
    assert output is not None
    expected = ["by print", "by stderr", "by logging", "by the context's logger", "by os.write", "by a subprocess", "and its stderr"]
    assert [text for text in [*expected, "by printf"] if text not in output] == []
    assert (await watched.run("pool.echo")).output is None, "and it is not carried over to the next attempt"


async def test_long_output_keeps_its_head_and_tail_and_says_what_was_cut(watched: Watched) -> None:
    output = (await watched.run("pool.flood", {"lines": 20_000})).output
    assert output is not None
    assert output.startswith("the first line\n")
    assert output.endswith("the last line\n")
    assert len(output) < 65 * 1024
    assert "[... 1,934,493 bytes cut ...]" in output


async def test_a_handler_that_closes_its_outputs_harms_nobody(watched: Watched) -> None:
    for _ in range(2):
        assert (await watched.run("pool.vandal")).output == "before\n"
    assert "by print" in str((await watched.run("pool.print")).output)


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


# ---- the handler's words


async def test_progress_is_told_at_most_once_a_second_and_the_last_is_kept(watched: Watched) -> None:
    watched.submit("progress", "pool.progress", {"steps": 60, "seconds": 1.3})
    outcome = await watched.outcome("progress")
    said = watched.progress["progress"]
    assert 2 <= len(said) <= 2 + outcome.ran_micros / 1_000_000
    assert said[-1] == {"fraction": 1.0, "message": "all done"}


async def test_a_step_runs_once_over_a_killed_attempt(watched: Watched, tmp_path: Path) -> None:
    steps, file = ["charge", "ship", "mail"], str(tmp_path / "effects")
    for died_after in steps:
        job_id = f"order-{died_after}"
        payload = {"steps": steps, "file": file, "die_after": died_after}
        watched.submit(job_id, "pool.once", payload)
        assert (await watched.outcome(job_id)).kind == "worker_died"
        stored = {step: value for (job, step), value in watched.effects.items() if job == job_id}
        watched.submit(job_id, "pool.once", payload, lease_token=2, attempt=2, effects=stored)
        outcome = await watched.outcome(job_id, 2)
        assert outcome.result == [{"step": step, "pair": [1, 2]} for step in steps]
    ran = Counter(Path(file).read_text().split())
    assert ran == {f"order-{died}/{step}": 1 for died in steps for step in steps}


async def test_a_step_of_a_lost_lease_raises(watched: Watched, tmp_path: Path) -> None:
    watched.lost.add("lost")
    watched.submit("lost", "pool.once", {"steps": ["a", "b"], "file": str(tmp_path / "effects")})
    outcome = await watched.outcome("lost")
    assert outcome.kind == "failed"
    assert outcome.error is not None
    assert outcome.error["type"] == "LeaseLost"
    assert watched.effects == {}


# ---- how much to claim


async def test_the_pool_wants_few_slow_jobs_and_many_quick_ones(watched: Watched) -> None:
    assert watched.pool.wanted() == 4, "two a worker while nothing is known"
    for n in range(400):
        if n % 4 == 0:
            await watched.until(lambda n=n: len(watched.outcomes) >= n - 3)
        watched.submit(f"quick-{n}", "pool.echo")
    await watched.until(lambda: len(watched.outcomes) == 400)
    assert watched.pool.wanted() == 256
    for n in range(4):
        watched.submit(f"slow-{n}", "pool.sleep", {"seconds": 30})
    assert watched.pool.wanted() == 0, "both workers are at a slow job, and two more wait"
    with pytest.raises(ValueError, match="held already"):
        watched.submit("slow-1", "pool.sleep", {"seconds": 30})


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
