"""The development loop: what is changed in an editor is what runs next, and what is broken changes nothing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError
from functions.runtime.reloading import Reloader
from tests.support.system import System, running_system
from tests.support.waiting import wait_until

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}, "gate": {"type": "string"}}, "additionalProperties": False}
MODULE = """
import time
from pathlib import Path
from functions.processor.tasks import task

@task("loop.say", schema="say.json", timeout_seconds=50)
def say(payload: dict, context) -> str:
    context.progress(0.1, "begun")
    while "gate" in payload and not Path(payload["gate"]).exists():
        time.sleep(0.01)
    return "the old code"
"""
NIGHTLY = """
@task("loop.nightly", cron="30 2 * * *")
def nightly(payload: dict) -> None: ...
"""


class Desk:
    """A folder with a task module, and the system that runs it."""

    def __init__(self, folder: Path, system: System) -> None:
        self.folder, self.system = folder, system

    def write(self, module: str | None = None, schema: Any = None) -> None:
        """Changes files, and waits until the system has said something of it."""
        before = self._said()
        if schema is not None:
            (self.folder / "say.json").write_text(json.dumps(schema))
        if module is not None:
            (self.folder / "loop_tasks.py").write_text(module)
        wait_until(lambda: self._said() > before)

    def _said(self) -> int:
        return self.system.said().count('"logger": "observatory.reloading"')

    def result(self, **payload: Any) -> Any:
        return self.system.request("POST", "/v1/jobs?wait=20", {"type": "loop.say", "payload": payload}).json()["result"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "loop_tasks.py").write_text(MODULE)
    (folder / "say.json").write_text(json.dumps(SCHEMA))
    with running_system(folder / "data", OBSERVATORY_TASKS="loop_tasks", PYTHONPATH=str(folder), OBSERVATORY_WORKERS="2") as system:
        yield Desk(folder, system)


def test_new_code_runs_next_and_attempts_that_run_end_on_the_old(desk: Desk) -> None:
    gate = desk.folder / "gate"
    running = []
    for version in ("first", "second", "third"):
        desk.write(MODULE.replace("the old code", f"{version} code"))
        assert desk.result() == f"{version} code"  # however many attempts of older versions still run
        running += [desk.system.submit("loop.say", {"gate": str(gate)}) for _ in range(2)]
        wait_until(lambda ids=running: all(desk.system.job(job)["progress"] for job in ids))  # every worker is taken
    gate.touch()
    assert [desk.system.ended(job)["result"] for job in running] == ["first code"] * 2 + ["second code"] * 2 + ["third code"] * 2


def test_a_module_that_does_not_import_is_one_line_and_the_old_one_stays(desk: Desk) -> None:
    desk.write(MODULE.replace("the old code", "sound"))
    desk.write(MODULE + "def broken(:\n")
    line = json.loads(desk.system.said().strip().splitlines()[-1])
    assert line["action"] == "tasks.broken" and line["level"] == "error"
    assert "'loop_tasks' does not import: SyntaxError" in line["message"] and "loop_tasks.py, line 12)" in line["message"]
    assert desk.result() == "sound"
    desk.write("import loop_helper\n" + MODULE.replace("the old code", "helped"))
    assert desk.result() == "sound"
    before = desk.system.said().count("tasks.reloaded")
    (desk.folder / "loop_helper.py").write_text("")  # a file that was not there is what was missing
    wait_until(lambda: desk.system.said().count("tasks.reloaded") > before)
    assert desk.result() == "helped"


def test_a_changed_schema_holds_at_the_door(desk: Desk) -> None:
    assert desk.system.request("POST", "/v1/jobs", {"type": "loop.say", "payload": {"word": 7}}).status == 422
    desk.write(schema={**SCHEMA, "properties": {"word": {"type": "integer"}}})
    assert desk.system.request("POST", "/v1/jobs", {"type": "loop.say", "payload": {"word": 7}}).status == 202
    assert desk.system.request("POST", "/v1/jobs", {"type": "loop.say", "payload": {"word": "seven"}}).status == 422
    (shown,) = (task for task in desk.system.request("GET", "/v1/tasks").json()["items"] if task["type"] == "loop.say")
    assert shown["schema"]["properties"]["word"] == {"type": "integer"}


def test_a_declared_schedule_comes_and_goes_with_its_code(desk: Desk) -> None:
    def schedules() -> list[str]:
        return [schedule["name"] for schedule in desk.system.request("GET", "/v1/schedules").json()["items"]]

    desk.write(MODULE + NIGHTLY)
    assert wait_until(schedules) == ["loop.nightly"]
    desk.write(MODULE)
    wait_until(lambda: not schedules())


def test_what_is_made_secret_is_hidden_and_found_no_more(desk: Desk) -> None:
    desk.write(schema=SCHEMA)
    job = desk.system.submit("loop.say", {"word": "xylophone"})
    desk.system.ended(job)

    def found() -> list[str]:
        return [each["id"] for each in desk.system.request("GET", "/v1/jobs?q=xylophone").json()["items"]]

    assert found() == [job]
    desk.write(schema={**SCHEMA, "properties": {"word": {"type": "string", "x-secret": True}}})
    assert desk.system.job(job)["payload"] == {"word": "[redacted]"}
    assert "xylophone" not in desk.system.request("GET", f"/v1/jobs/{job}/events").body.decode()
    assert found() == []


# ---- without a system -------------------------------------------------------------------------------------------


class Files:
    """Stands in for the pool: a `reload` does what `during` does."""

    def __init__(self, *files: Path) -> None:
        self.sources = [str(file) for file in files]
        self.seen: list[str] = []
        self.during = lambda: None

    async def reload(self) -> Catalogue:
        self.seen.append(Path(self.sources[0]).read_text())
        self.during()
        if self.seen[-1] == "broken":
            raise ConfigurationError("broken")
        return Catalogue()


async def nothing(catalogue: Catalogue) -> str:
    return ""


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_change_in_the_middle_of_a_reload_is_reloaded_too(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one")
    files = Files(file)
    running = asyncio.create_task(Reloader(files, nothing, 0.01).run())
    await asyncio.sleep(0.05)  # it has looked
    files.during = lambda: file.write_text("three, in the middle") and None if files.seen == ["two is"] else None
    file.write_text("two is")
    await until(lambda: files.seen == ["two is", "three, in the middle"])
    files.during = lambda: None
    file.write_text("broken")
    await until(lambda: files.seen[-1] == "broken")
    count = len(files.seen)
    await asyncio.sleep(0.1)
    assert len(files.seen) == count  # a broken file is said once, not twice a second
    running.cancel()
