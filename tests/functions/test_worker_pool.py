"""The worker pool with real processes: what handlers get, return, print and tell, and how much the pool wants."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.worker_pool import Watched, running

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
