"""new-task: a task of one's own to begin with: module, schema and a test that passes."""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from console import environment, exits
from console.payloads import BadArgument
from console.session import Session
from console.text import clean
from contracts import validation
from contracts.errors import UnknownTaskType

EXAMPLES = """It writes MODULE.py, its schema and test_MODULE.py, runs the test, and says what to do next. Nothing is overwritten.

examples:
  new-task my.words
  new-task report.monthly --folder tasks
"""
MODULE = '''"""{type}: counts the words of a text. Make it do what you need; its payload is described by {schema}."""

from typing import Any

from functions.processor.tasks import TaskContext, task


@task("{type}", schema="{schema}", timeout_seconds=30)
def {function}(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Counts the words of a text."""
    words = payload["text"].split()
    long_enough = [word for word in words if len(word) >= payload.get("at_least", 1)]
    context.progress(1.0, f"{{len(words)}} words read")
    print("the longest:", max(words, key=len, default="none"))  # what a handler prints is kept with its attempt
    return {{"words": len(long_enough)}}
'''
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "description": "The text whose words are counted."},
        "at_least": {"type": "integer", "minimum": 1, "default": 1, "description": "Words with fewer letters do not count."},
    },
    "additionalProperties": False,
}
TEST = '''"""Run it: {command}"""

import unittest
from typing import Any

from contracts.errors import ContractViolation
from functions.processor.tasks.foreground import run_once


def run(payload: dict[str, Any]) -> Any:
    """The outcome of one attempt, as a worker would have it: kind, result, error."""
    return run_once("{type}", payload, ["{module}"])


class {class_name}(unittest.TestCase):
    def test_words_are_counted(self) -> None:
        outcome = run({{"text": "to be or not to be", "at_least": 3}})
        self.assertEqual((outcome.kind, outcome.result), ("succeeded", {{"words": 1}}), outcome.error)

    def test_a_payload_that_breaks_the_schema_is_refused(self) -> None:
        for payload in ({{}}, {{"text": 7}}, {{"text": "a", "odd": 1}}):
            with self.assertRaises(ContractViolation):
                run(payload)


if __name__ == "__main__":
    unittest.main()
'''


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="two or more lower-case words joined by dots, such as my.words")
    parser.add_argument("--folder", metavar="FOLDER", default=".", help="where the files go (the folder where you are)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    faults = validation.faults("job-request", {"type": arguments.type, "payload": {}})
    if faults:
        raise BadArgument(f"{arguments.type!r} {faults[0].message}")
    if _is_known(arguments.type):
        raise BadArgument(f"there is a task {arguments.type} already; give yours another name")
    folder = Path(arguments.folder).expanduser().resolve()
    module = arguments.type.replace(".", "_").replace("-", "_")
    files = _files(arguments.type, module, folder)
    _write(folder, files)
    said = subprocess.run(
        [sys.executable, "-m", "unittest", "-q", f"test_{module}"], cwd=folder, capture_output=True, text=True, check=False,
        env=environment.child_environment({"PYTHONPATH": f"{environment.ROOT}:{folder}"}),
    )  # fmt: skip
    passed = said.returncode == 0
    if session.as_json:
        session.json({"type": arguments.type, "module": module, "files": [str(folder / name) for name in files], "test_passed": passed})
    else:
        for name in files:
            session.say(clean(f"made      {folder / name}"))
        session.say(f"its test  {'passes' if passed else 'fails:'}")
        session.note(clean(said.stderr.rstrip(), lines=True) if not passed else _next_steps(arguments.type, module, folder))
    return exits.OK if passed else exits.FAILED


def _is_known(task_type: str) -> bool:
    from functions.runtime import admin

    try:
        admin.task_definition(task_type, environment.task_modules())
    except UnknownTaskType:
        return False
    return True


def _files(task_type: str, module: str, folder: Path) -> dict[str, str]:
    """The files by name."""
    schema = f"{task_type.replace('.', '-')}.v1.json"
    names = {"type": task_type, "module": module, "schema": schema, "function": module, "command": _test_command(module, folder),
             "class_name": "".join(part.title() for part in module.split("_"))}  # fmt: skip
    return {f"{module}.py": MODULE.format(**names), schema: json.dumps(SCHEMA | {"title": task_type}, indent=2) + "\n",
            f"test_{module}.py": TEST.format(**names)}  # fmt: skip


def _write(folder: Path, files: dict[str, str]) -> None:
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise BadArgument(f"{folder} has {', '.join(taken)} already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise BadArgument(f"{folder} cannot be written: {error.strerror or error}") from None


def _next_steps(task_type: str, module: str, folder: Path) -> str:
    path = "" if folder == environment.ROOT else f"PYTHONPATH={shlex.quote(str(folder))} "
    make = "make" if folder == environment.ROOT else f"make -C {shlex.quote(str(environment.ROOT))}"
    program = environment.runnable(folder)
    return f"""
Next:
  {_test_command(module, folder)}
  {program} run {task_type} --text "to be or not" --tasks {module}
  {path}OBSERVATORY_TASKS={module} {make} run            edits are taken over while it runs
  {program} submit {task_type} --text "to be or not" --wait"""


def _test_command(module: str, folder: Path) -> str:
    python = environment.ROOT / ".venv" / "bin" / "python"
    if folder == environment.ROOT:
        return f".venv/bin/python -m unittest test_{module}"
    return f"cd {shlex.quote(str(folder))} && PYTHONPATH={shlex.quote(str(environment.ROOT))} {shlex.quote(str(python))} -m unittest test_{module}"
