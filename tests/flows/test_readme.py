"""The README is true: each way to submit runs as printed, the task of ten lines works, every setting stands in the table."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from functions.runtime.settings import Settings
from tests.support.system import ROOT, System, running_system

README = (ROOT / "README.md").read_text()
PRINTED = "http://127.0.0.1:8080"


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, title
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def run(command: list[str], system: System) -> str:
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, "OBSERVATORY_URL": system.url}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


FIVE_WAYS = blocks(section("Submit a job, five ways"), "sh") + blocks(section("Submit a job, five ways"), "python")


def test_there_are_five_ways() -> None:
    assert len(FIVE_WAYS) == 5


@pytest.mark.parametrize("number", range(5))
def test_each_way_to_submit_runs_as_printed(system: System, number: int) -> None:
    text = FIVE_WAYS[number].replace(PRINTED, system.url)
    python = "from console" in text
    if not python:
        text = text.replace(".venv/bin/python", sys.executable)
    out = run([sys.executable, "-c", text] if python else ["bash", "-euo", "pipefail", "-c", text], system)
    accepted = re.findall(r'"id":"([0-9a-f-]{36})"', out)
    assert accepted or "words" in out or "digest" in out, out
    assert '"problem"' not in out


def test_the_task_of_ten_lines_works_as_printed(tmp_path: Path) -> None:
    (code,) = blocks(section("A task of your own"), "python")
    (tmp_path / "my_tasks.py").write_text(code)
    body = next(node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)).body
    assert len(body) <= 10
    with running_system(tmp_path / "data", OBSERVATORY_TASKS="my_tasks", PYTHONPATH=str(tmp_path)) as system:
        answer = system.request("POST", "/v1/jobs?wait=20", {"type": "my.greeting", "payload": {"name": "ada", "times": 2}})
        assert answer.json()["result"] == {"text": "hello ada, hello ada"}
        refused = system.request("POST", "/v1/jobs", {"type": "my.greeting", "payload": {"nam": "ada", "times": "two"}})
        assert refused.status == 422
        assert {fault["pointer"] for fault in refused.json()["faults"]} >= {"/payload/times"}


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(OBSERVATORY_[A-Z_]+)` \| (.*?) \|", section("Settings"), re.M))
    for field in fields(Settings):
        name = f"OBSERVATORY_{field.name.upper()}"
        assert name in table, f"{name} is not in the README"
        assert table[name] == (f"`{field.default}`" if field.default not in ("", False) else "-"), name


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", README)) <= targets


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: ([a-z0-9-]+)", makefile, re.M))
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert phony == set(re.findall(r"^  make ([a-z0-9-]+) ", listed, re.M))
