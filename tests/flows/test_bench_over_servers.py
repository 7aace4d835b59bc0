"""`make bench PROFILE=servers` as a person runs it, at its smallest: it measures both systems, and leaves nothing running."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.contenders import PYTHON
from tests.support.servers import REQUIRED, server_folder
from tests.support.system import ROOT


def bench(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.bench.over_servers", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ) | environment, capture_output=True, text=True, timeout=400, check=False)


@pytest.fixture
def celery() -> None:
    if not PYTHON.exists():
        assert not REQUIRED, "Celery is not here: `make test-servers` installs it"
        pytest.skip("Celery is not here: `make test-servers` installs it")


@pytest.mark.servers
def test_both_are_measured_at_the_same_batch_and_everything_is_stopped(celery: None, tmp_path: Path) -> None:
    with server_folder("rabbitmq") as folder:
        done = bench("--jobs", "500", "--rounds", "1", "--only", "batches-500", "--folder", str(folder), "--json", str(tmp_path / "found.json"))
        assert done.returncode in (0, 1), done.stderr  # how fast they are is no matter here
        assert list(folder.iterdir()) == []
    found = json.loads((tmp_path / "found.json").read_text())
    runs = found["runs"]["batches-500"]
    assert {name: [run["jobs"] for run in each] for name, each in runs.items()} == {"ours": [500], "Celery": [500]}
    servers = {"postgres", "redis", "rabbitmq", "client"}
    assert set(runs["ours"][0]["parts_ms_a_job"]) >= servers | {"front", "processor", "metrics-engine", "scheduler"}
    assert set(runs["Celery"][0]["parts_ms_a_job"]) >= servers | {"worker", "pool"}
    assert [figure["name"] for figure in found["figures"] if figure["unit"] == "jobs/s"] == [
        "ours, batches of 500, 4 connections", "Celery, batches of 500, 4 connections"]  # fmt: skip
    assert "times Celery" in done.stdout and "stopping rabbitmq" in done.stdout


def test_what_is_missing_is_said_with_the_way_to_get_it() -> None:
    done = bench("--quick", PATH="/nonexistent")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "redis is not here: Debian, Ubuntu: apt-get install redis-server" in done.stderr and "rabbitmq is not here" in done.stderr


def test_a_load_that_is_none_is_refused() -> None:
    done = bench("--only", "some")
    assert done.returncode == 2 and "batches-100" in done.stderr
