"""`python -m contracts check`: names each change that takes something away, and passes what takes nothing."""

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts import governance
from tests.support.system import ROOT

Change = Callable[[dict[str, Any]], Any]
SUCCEEDED, REQUEST, TASK = "schemas/events/job.succeeded.v1.json", "schemas/job-request.json", "schemas/tasks/demo-sleep.v1.json"
ANSWERS, WISHES = "schemas/answers.json", "schemas/wishes.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = tmp_path / "contracts"
    for part in ("schemas", "examples", "released"):
        shutil.copytree(ROOT / "contracts" / part, copied / part)
    return copied


def change(folder: Path, file: str, how: Change) -> list[governance.Finding]:
    path = folder / file
    document = orjson.loads(path.read_bytes())
    how(document)
    path.write_bytes(orjson.dumps(document))
    return governance.check(folder)


def properties(document: dict[str, Any]) -> dict[str, Any]:
    return document["properties"]


def define(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["$defs"][name]


def test_the_schemas_keep_what_was_released() -> None:
    assert governance.check() == []


def test_every_schema_is_released() -> None:
    """What is not, `check` would let change in any way."""
    names = {path.relative_to(ROOT / "contracts" / "schemas") for path in (ROOT / "contracts" / "schemas").rglob("*.json")}
    released = ROOT / "contracts" / "released" / "schemas"
    assert names == {path.relative_to(released) for path in released.rglob("*.json")}


NARROWED: dict[str, tuple[str, Change]] = {
    "a field that is required now": (REQUEST, lambda d: d["required"].append("queue")),
    "a type that was narrowed": (REQUEST, lambda d: properties(d).update(priority={"type": "string"})),
    "a limit that was lowered": (REQUEST, lambda d: properties(d)["priority"].update(maximum=7)),
    "a field that is unknown now": (REQUEST, lambda d: properties(d).pop("tags")),
    "a payload field that is required now": (TASK, lambda d: d.update(required=list(properties(d)))),
    "a value that is no longer taken": (TASK, lambda d: properties(d)["seconds"].update(enum=[1, 2])),
    "a read field that is optional now": (SUCCEEDED, lambda d: d["required"].remove("ran_seconds")),
    "a read field that has another type now": (SUCCEEDED, lambda d: properties(d).update(ran_seconds={"type": "string"})),
    "a field of an answer that may be missing now": (ANSWERS, lambda d: define(d, "submitted")["required"].remove("url")),
    "a field of an answer that has another type now": (ANSWERS, lambda d: properties(define(d, "wished")).update(url={"type": "integer"})),
    "an answer that is gone": (ANSWERS, lambda d: d["$defs"].pop("audit")),
    "a field of a wish that is required now": (WISHES, lambda d: define(d, "replay").update(required=["reason"])),
    "a field of a wish that is unknown now": (WISHES, lambda d: properties(define(d, "bulk")).pop("dry_run")),
    "a wish that is gone": (WISHES, lambda d: d["$defs"].pop("discard")),
    "a read field that is gone": (SUCCEEDED, lambda d: (properties(d).pop("ran_seconds"), d["required"].remove("ran_seconds"))),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(NARROWED))
def test_each_kind_of_breaking_change_is_named(folder: Path, what: str) -> None:
    file, how = NARROWED[what]
    findings = change(folder, file, how)
    assert findings, what
    assert all(str(finding) and finding.message for finding in findings)


HARMLESS: dict[str, tuple[str, Change]] = {
    "a new optional field of a request": (REQUEST, lambda d: properties(d).update(note={"type": "string"})),
    "a limit that was raised": (TASK, lambda d: properties(d)["seconds"].update(maximum=7200)),
    "a new field of an event": (SUCCEEDED, lambda d: properties(d).update(extra={"type": "string"})),
    "a new field of an answer": (ANSWERS, lambda d: properties(define(d, "submitted")).update(extra={"type": "string"})),
    "a new answer": (ANSWERS, lambda d: d["$defs"].update(another={"type": "object"})),
    "a new optional field of a wish": (WISHES, lambda d: properties(define(d, "bulk")).update(note={"type": "string"})),
    "another description": (SUCCEEDED, lambda d: d.update(description="Said anew.")),
}


@pytest.mark.parametrize("what", sorted(HARMLESS))
def test_what_takes_nothing_away_passes(folder: Path, what: str) -> None:
    file, how = HARMLESS[what]
    assert change(folder, file, how) == []


def test_a_removed_schema_is_named(folder: Path) -> None:
    (folder / SUCCEEDED).unlink()
    assert governance.check(folder)


def test_release_refuses_while_something_is_taken_away(folder: Path) -> None:
    before = copy.deepcopy((folder / "released" / SUCCEEDED).read_bytes())
    change(folder, SUCCEEDED, lambda d: properties(d).pop("ran_seconds"))
    assert governance.release(folder)
    assert (folder / "released" / SUCCEEDED).read_bytes() == before


def test_release_takes_over_what_was_added(folder: Path) -> None:
    change(folder, SUCCEEDED, lambda d: properties(d).update(extra={"type": "string"}))
    assert governance.release(folder) == []
    assert "extra" in orjson.loads((folder / "released" / SUCCEEDED).read_bytes())["properties"]


@pytest.mark.parametrize(("arguments", "code"), [(["check"], 0), ([], 2), (["frobnicate"], 2)])
def test_the_command_has_an_exit_code(arguments: list[str], code: int) -> None:
    assert subprocess.run([sys.executable, "-m", "contracts", *arguments], cwd=ROOT, capture_output=True).returncode == code
