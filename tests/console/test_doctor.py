"""doctor: every line says what is wrong and how to mend it, and none of what is wrong stops it."""

import json
import os
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from console.checks.machine import examine
from tests.console.test_command_line import NOWHERE, console
from tests.support.keys import SETTING
from tests.support.system import System, running_system

Wrong = list[tuple[str, str, str, str]]


def wrong(url: System | str, here: Path, **environment: str) -> Wrong:
    """What is not well: verdict, what, found, mend."""
    variables = {"OBSERVATORY_DATA": str(here / "data"), "XDG_CONFIG_HOME": str(here)} | environment
    done = console(url, "doctor", "--json", environment=variables)
    assert "Traceback" not in done.stderr
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    found = [(item["verdict"], item["what"], item["found"], item["mend"]) for item in items if item["verdict"] != "ok"]
    assert done.returncode == (1 if any(verdict == "fail" for verdict, *_ in found) else 0)
    assert all(mend for *_, mend in found)
    return found


@pytest.mark.parametrize(
    ("environment", "what", "found", "mend"),
    [
        ({"OBSERVATORY_WORKER": "4"}, "settings", "OBSERVATORY_WORKER is set", "OBSERVATORY_WORKERS?"),
        ({"OBSERVATORY_LEASE_SECONDS": "x"}, "settings", "is not a number", "table of settings"),
        ({"OBSERVATORY_API_KEYS": "odd"}, "settings", "OBSERVATORY_API_KEYS", "table of settings"),
        ({"OBSERVATORY_TASKS": "no_such_module"}, "tasks", "'no_such_module'", "PYTHONPATH"),
        ({"OBSERVATORY_API_KEY": "a:b:c"}, "server", "OBSERVATORY_API_KEY is no key", "mend that first"),
        ({"OBSERVATORY_URL": "", "OBSERVATORY_CONTEXT": "prod"}, "server", "no context 'prod'", "mend that first"),
        ({}, "server", "no server answers", "start that server"),
        ({"OBSERVATORY_URL": "", "OBSERVATORY_PORT": "9"}, "server", "no server answers", "make run"),
    ],
)
def test_without_a_server(tmp_path: Path, environment: dict[str, str], what: str, found: str, mend: str) -> None:
    lines = wrong(NOWHERE, tmp_path, **environment)
    assert [line for line in lines if line[1] == what and found in line[2] and mend in line[3]], lines
    assert any(line[1] == "server" for line in lines)  # it went on to the end


def test_a_broken_file_of_contexts_is_named(tmp_path: Path) -> None:
    (tmp_path / "observatory").mkdir()
    (tmp_path / "observatory" / "console.json").write_text("{")
    assert [line for line in wrong(NOWHERE, tmp_path) if line[1] == "contexts" and "no JSON" in line[2]]


@pytest.mark.parametrize(("url", "mend"), [("http://127.0.0.1:7", "--url http://127.0.0.1:7"), (NOWHERE, "kill -9")])
def test_whoever_holds_the_data_folder_is_named(tmp_path: Path, url: str, mend: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lock").write_text(json.dumps({"pid": os.getpid(), "url": url}))
    assert mend in wrong(NOWHERE, tmp_path)[-1][3]
    (tmp_path / "data" / "lock").write_text(json.dumps({"pid": 2**22 + 1, "url": url}))
    assert "start that server" in wrong(NOWHERE, tmp_path)[-1][3]


def test_a_running_system_is_well_and_a_paused_queue_with_work_is_told(system: System, tmp_path: Path) -> None:
    system.request("POST", "/v1/queues/io/pause", {"reason": "tests"})
    job = system.submit("demo.noop", queue="io")
    try:
        lines = wrong(system, tmp_path)
        assert ("warn", "queue io", "paused by anonymous with 1 job waiting", "queues resume io") in lines
        assert {line[1] for line in lines} <= {"queue io", "alert"}
    finally:
        system.request("POST", "/v1/queues/io/resume")
        system.ended(job)


def test_a_server_with_keys_says_which_is_needed(tmp_path: Path) -> None:
    with running_system(tmp_path / "keyed", OBSERVATORY_API_KEYS=SETTING) as keyed:
        (line,) = wrong(keyed, tmp_path)
        assert line[0] == "fail" and "contexts add" in line[3]


def test_what_belongs_to_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "observatory.db").touch()
    monkeypatch.setenv("OBSERVATORY_DATA", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) == str(tmp_path))  # root may read all, so it is played
    assert [finding.mend for finding in examine() if "belongs to" in finding.found] == [f"chown -R {getuser()} {tmp_path}"]
