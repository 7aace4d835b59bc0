"""watch: events, progress and what handlers print, as it comes, up to the end; live events by a query."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.following import news
from tests.console.test_command_line import console
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until

MODULE = """
import time
from pathlib import Path
from typing import Annotated, Any
from dataclasses import dataclass
from functions.processor.tasks import TaskContext, task

@dataclass
class Talk:
    gate: str
    token: Annotated[str, {"x-secret": True}] = "none"

@task("watched.talk", timeout_seconds=50)
def talk(payload: Talk, context: TaskContext) -> str:
    print(f"attempt {context.attempt} knows {payload.token}")
    context.progress(0.5, "half way")
    while not Path(f"{payload.gate}-{context.attempt}").exists():
        time.sleep(0.01)
    print("no line yet", end="")
    if context.attempt == 1:
        raise ValueError("once more")
    return "said"
"""


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("talking")
    (folder / "watched_tasks.py").write_text(MODULE)
    with running_system(folder / "data", OBSERVATORY_TASKS="watched_tasks", PYTHONPATH=str(folder)) as system:
        yield system


class Watch:
    """`watch` in a process of its own, read line by line."""

    def __init__(self, system: System, *arguments: str) -> None:
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, "OBSERVATORY_URL": system.url}
        command = [sys.executable, "-m", "console", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until(self, words: str) -> list[str]:
        """What it said up to a line with these words."""
        assert self.process.stderr is not None
        lines: list[str] = []
        while not lines or words not in lines[-1]:
            lines.append(self.process.stderr.readline())
            assert lines[-1], lines
        return lines

    def end(self) -> tuple[int, str]:
        out, rest = self.process.communicate(timeout=60)
        assert "Traceback" not in rest
        return self.process.returncode, out


def test_what_a_handler_prints_is_told_while_it_runs_and_secrets_are_not(talking: System, tmp_path: Path) -> None:
    job = talking.submit("watched.talk", {"gate": str(tmp_path / "gate"), "token": "very-secret-token"})
    watch = Watch(talking, "watch", job)
    assert watch.until("| attempt 1 knows")[-1] == "| attempt 1 knows [redacted]\n"
    assert talking.job(job)["status"] == "running"
    (tmp_path / "gate-1").touch()
    said = watch.until("| attempt 2 knows")
    assert said.index("| no line yet\n") < next(at for at, line in enumerate(said) if line.startswith("job.retrying"))
    (tmp_path / "gate-2").touch()
    code, result = watch.end()
    assert (code, json.loads(result)) == (0, "said")


def test_submit_watches_as_well(talking: System, tmp_path: Path) -> None:
    for attempt in (1, 2):
        (tmp_path / f"gate-{attempt}").touch()
    done = console(talking, "submit", "watched.talk", f"gate={tmp_path}/gate", "--watch")
    assert (done.returncode, json.loads(done.stdout)) == (0, "said")
    assert done.stderr.count("| attempt") == 2 and "job.retrying" in done.stderr


def test_several_jobs_are_named_and_the_worst_end_decides(system: System) -> None:
    good, bad = system.submit("demo.noop"), system.submit("demo.fail", {"times": 1, "permanent": True, "message": "as asked"})
    done = console(system, "watch", good, bad)
    assert done.returncode == 1 and f"{bad} failed" in done.stderr and f"{bad}  | as asked" in done.stderr
    done = console(system, "watch", good, bad, "--json")
    assert [job["status"] for job in json.loads(done.stdout)["items"]] == ["succeeded", "failed"] and not done.stderr
    assert json.loads(console(system, "watch", good, "--json").stdout)["id"] == good


def test_a_watch_has_an_end_and_takes_no_mixture(system: System) -> None:
    job = system.submit("demo.noop", delay_seconds=3600)
    done = console(system, "watch", job, "--timeout", "200ms")
    assert done.returncode == 6 and "still scheduled" in done.stderr
    assert console(system, "watch", job, "state:failed").returncode == 2
    assert console(system, "watch", "sate:failed").returncode == 2
    assert console(system, "watch", "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e").returncode == 5
    system.request("POST", f"/v1/jobs/{job}/cancel")


FOLLOW = ["events", "--follow"]


@pytest.mark.parametrize("words", [(), ("state:failed",)])
def test_a_watch_without_ids_has_no_end_and_says_so(words: tuple[str, ...]) -> None:
    done = console("http://127.0.0.1:9", "watch", *words, "--timeout", "1s")
    assert (done.returncode, done.stderr.strip()) == (2, "--timeout belongs to ids of jobs; a query, or everything, is watched until Ctrl-C")


@pytest.mark.parametrize("words", [["watch", "tag:looked-at"], [*FOLLOW, "--query", "tag:looked-at"], [*FOLLOW, "--after", "POSITION"]])
def test_live_events_are_picked_by_a_query_or_begin_at_a_position(system: System, words: list[str]) -> None:
    head = system.request("GET", "/v1/events?limit=1").json()["items"][0]["position"]
    watch = Watch(system, *(word.replace("POSITION", head) for word in words), "--json")
    ours: list[str] = []
    assert watch.process.stdout is not None
    system.submit("demo.noop")
    try:
        wait_until(lambda: ours.append(system.submit("demo.noop", tags=["looked-at"])) or _has_line(watch))
        event = json.loads(watch.process.stdout.readline())
    finally:
        watch.process.terminate()
        watch.process.communicate(timeout=20)
    if "--after" in words:  # whatever it is about: jobs of the tests before may still be on their way
        told = {each["position"]: each["id"] for each in system.request("GET", "/v1/events?limit=500").json()["items"]}
        assert event["id"] == told[str(int(head) + 1)]
    else:
        assert event["subject"] in [f"job/{job}" for job in ours]


def _has_line(watch: Watch) -> bool:
    import select

    assert watch.process.stdout is not None
    return bool(select.select([watch.process.stdout], [], [], 0.2)[0])


def test_the_news_of_an_output_are_what_it_has_more() -> None:
    assert news("", "a\nb\n") == "a\nb\n"
    assert news("a\n", "a\nb\n") == "b\n"
    assert news("a\n", "a\n") == ""
    long = "".join(f"line {number}\n" for number in range(1_000))
    cut = f"{long[:2_000]}\n[... 99 bytes cut ...]\n{long[-2_000:]}"
    assert news(cut, f"{long[:2_000]}\n[... 120 bytes cut ...]\n{(long + 'more')[-2_000:]}") == "more"
    assert news("x" * 500, long).startswith("[...]\nline 5")
